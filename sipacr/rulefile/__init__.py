"""Rule files: YAML -> Ruleset, or all problems with file:line:column."""

from pathlib import Path
from typing import TYPE_CHECKING

from sipacr.rulefile.problems import Problem, has_errors

if TYPE_CHECKING:
    from sipacr.routing.ruleset import Ruleset
    from sipacr.settings import Settings

__all__ = ["Problem", "has_errors", "load_rules"]


def load_rules(folder: Path, settings: "Settings | None") -> "tuple[Ruleset | None, list[Problem]]":
    """The rules of `folder`, or None, and all problems. Never raises.

    Without `settings` (they have errors) there is no ruleset, but what can be checked without them is.
    """
    # Imported here: sipacr.yaml is read with parts of this package, and a command that needs no rules starts up to a
    # tenth of a second earlier without the rest.
    from sipacr.rulefile import folder as rules_folder

    return rules_folder.load_rules(folder, settings)
