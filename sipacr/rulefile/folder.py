"""The folder of rule files as one set: all or nothing, every problem of every file at once."""

import gc
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from sipacr.routing.masks import Mask
from sipacr.routing.ruleset import Position, Ruleset
from sipacr.rulefile.build import Builder
from sipacr.rulefile.lint import lint
from sipacr.rulefile.models import RuleFileShape
from sipacr.rulefile.problems import Problem, has_errors, in_file_order, nearest, without_echoes
from sipacr.rulefile.readers import RuleContext
from sipacr.rulefile.shape import SURELY, validate
from sipacr.rulefile.yamltree import Mapping, Node, Sequence, Text, Tree, describe, read_file

if TYPE_CHECKING:
    from sipacr.settings import Settings

_KINDS = {
    "agents": "agent",
    "groups": "group",
    "lists": "list",
    "schedules": "schedule",
    "sticky": "sticky profile",
}
_ADAPTER = TypeAdapter(RuleFileShape)
_BACKUPS = ("~", ".bak", ".orig", ".old", ".save", ".swp", ".tmp", ".rpmsave", ".rpmnew", ".dpkg-old", ".dpkg-dist")


def load_rules(folder: Path, settings: "Settings | None") -> tuple[Ruleset | None, list[Problem]]:
    """The rules of `folder`, or None, and all problems. Never raises.

    Without `settings` (they have errors) there is no ruleset, but what can be checked without them is.
    """
    with _collector_paused():
        return _load(folder, settings)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Nothing of what is built here is garbage until it goes as a whole, and half a million objects make the
    collector walk them again and again: a third of the time."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def _load(folder: Path, settings: "Settings | None") -> tuple[Ruleset | None, list[Problem]]:
    files, problems = rule_files(folder)
    trees = [read_file(file) for file in files]
    if not files and not problems:
        said = "there are no rules here: write at least one file *.yaml with a fallback"
        problems.append(Problem(Position(str(folder), 1, 1), said))
    set_ = _Set(trees, settings)
    set_.validate()
    problems += set_.problems
    if settings is None or has_errors(problems):
        return None, in_file_order(problems)
    ruleset = set_.build(settings)
    problems += set_.problems
    return ruleset, in_file_order(problems)


def rule_files(folder: Path) -> tuple[list[Path], list[Problem]]:
    """The files to read, in byte order of their names, and warnings of those that look like rules and are not read."""

    def at(path: Path) -> Position:
        return Position(str(path), 1, 1)

    try:
        entries = sorted(folder.iterdir(), key=lambda path: path.name.encode(errors="surrogateescape"))
    except FileNotFoundError:
        return [], [Problem(at(folder), "there is no such folder; make it, or name another with rules: in sipacr.yaml")]
    except NotADirectoryError:
        return [], [Problem(at(folder), "this is a file; rules: names a folder")]
    except OSError as error:
        return [], [Problem(at(folder), f"the folder cannot be read: {error.strerror or error}")]
    files: list[Path] = []
    warnings: list[Problem] = []
    for path in entries:
        reason = _not_read(path.name)
        if reason is not None:
            warnings.append(Problem(at(path), f"this file is not read: {reason}", "warning"))
        elif path.name.endswith(".yaml") and not path.name.startswith("."):
            files.append(path)
    return files, warnings


def _not_read(name: str) -> str | None:
    """Why a file that looks like rules is not read; None for one that is, and for what is no YAML at all."""
    lower = name.lower()
    if ".yaml" not in lower and ".yml" not in lower:
        return None
    if name.startswith("."):
        return "it is hidden"
    if lower.endswith(_BACKUPS) or name.startswith("#"):
        return "it looks like a backup"
    if not name.endswith(".yaml") and lower.endswith((".yml", ".yaml")):
        return "rule files end in .yaml"
    return None if name.endswith(".yaml") else "rule files end in .yaml"


@dataclass(slots=True)
class _Set:
    """All files together."""

    trees: list[Tree]
    settings: "Settings | None"
    files: list[tuple[RuleFileShape, RuleContext]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def validate(self) -> None:
        """Every file by itself, and what one says of another."""
        names, without_mobile = self._names()
        directory = self.settings.directory if self.settings else None
        for tree in self.trees:
            context = RuleContext(
                tree,
                folder=self.settings.path.parent if self.settings else Path(),
                names=names,
                directory=directory,
                extensions=tuple(map(Mask, directory.extensions)) if directory else (),
                without_mobile=without_mobile,
            )
            file = _validate(tree, context)
            if file is not None:
                self.files.append((file, context))
            self.problems += without_echoes(tree.problems, context.problems)
        self._check_unique()
        self._check_fallback()

    def build(self, settings: "Settings") -> Ruleset:
        """The ruleset of a set without errors."""
        self.problems = []
        builder = Builder(settings.directory)
        for file, context in self.files:
            context.problems = self.problems
            builder.take(file, context)
        lint(builder, settings.directory)
        return builder.ruleset(self._version())

    @property
    def _whole(self) -> bool:
        return all(tree.whole for tree in self.trees)

    def _roots(self) -> Iterable[tuple[Tree, Mapping]]:
        return ((tree, tree.root) for tree in self.trees if isinstance(tree.root, Mapping))

    def _names(self) -> tuple[dict[str, list[str]], frozenset[str]]:
        """All names by kind, whether or not what they name is right; and the agents without a mobile. If a file could
        only be read in part, its names are not known, and no name is called unknown because of that."""
        names: dict[str, list[str]] = {}
        without_mobile: set[str] = set()
        if self._whole:
            for section, kind in _KINDS.items():
                names[kind] = [str(name) for _, root in self._roots() for name in _entries(root, section)]
            for _, root in self._roots():
                for name, agent in _entries(root, "agents").items():
                    if isinstance(agent, Mapping) and "mobile" not in agent:
                        without_mobile.add(str(name))
        if self.settings:
            names["destination"] = list(self.settings.directory.destinations)
            names["peer"] = list(self.settings.directory.peers)
        return names, frozenset(without_mobile)

    def _check_unique(self) -> None:
        for section, kind in _KINDS.items():
            self._unique(
                kind, ((tree, name) for tree, root in self._roots() for name in _entries(root, section).names())
            )
        self._unique("rule", ((tree, name) for tree, root in self._roots() for name in _rule_names(root)))

    def _unique(self, kind: str, found: Iterable[tuple[Tree, Text]]) -> None:
        first: dict[str, Position] = {}
        for tree, name in found:
            position = tree.position(name)
            if name not in first:
                first[name] = position
            else:
                self.problems.append(
                    Problem(position, f'{kind} "{name}" is defined twice; the first one is at {first[name]}')
                )

    def _check_fallback(self) -> None:
        keys = [(tree, root.key("fallback")) for tree, root in self._roots() if "fallback" in root]
        for tree, key in keys[1:]:
            first = keys[0][0].position(keys[0][1])
            self.problems.append(
                Problem(tree.position(key), f"fallback stands once in all files; the first one is at {first}")
            )
        if not keys and self.trees and self._whole:
            said = '"fallback" is missing: the destination of every call that no rule can place'
            self.problems.append(Problem(Position(self.trees[0].file, 1, 1), said))

    def _version(self) -> str:
        digest = hashlib.sha256()
        for tree in self.trees:
            digest.update(f"{Path(tree.file).name}\0{tree.text}\0".encode())
        return digest.hexdigest()[:12]


def _validate(tree: Tree, context: RuleContext) -> RuleFileShape | None:
    if tree.root is None:
        if tree.whole and not tree.problems:
            context.error_at_top("this file is empty")
        return None
    if not isinstance(tree.root, Mapping):
        context.error_at_top(f"a rule file is a mapping (agents:, rules:, ...), not {describe(tree.root)}")
        return None
    return validate(_ADAPTER, tree.root, context)


def _entries(root: Mapping, section: str) -> Mapping:
    node = root.get(section)
    if node is None:
        meant = next((key for key in root if nearest(key, RuleFileShape.known_keys(), SURELY) == section), None)
        node = root[meant] if meant is not None else None
    return node if isinstance(node, Mapping) else Mapping()


def _rule_names(root: Mapping) -> Iterable[Text]:
    """The names of all rules of a file, children included."""
    waiting: list[Node] = [root[section] for section in ("outgoing", "rules") if section in root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Sequence):
            waiting.extend(reversed(node))
        elif isinstance(node, Mapping):
            name = node.get("name")
            if isinstance(name, Text) and not name.is_missing:
                yield name
            if "rules" in node:
                waiting.append(node["rules"])
