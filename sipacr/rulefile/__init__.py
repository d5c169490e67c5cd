"""Rule files: YAML -> Ruleset, or all problems with file:line:column."""

from sipacr.rulefile.folder import load_rules
from sipacr.rulefile.problems import Problem, has_errors

__all__ = ["Problem", "has_errors", "load_rules"]
