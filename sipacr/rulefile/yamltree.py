"""YAML text to a tree that keeps every scalar as it was typed, with its line and column, and nothing guessed.

`01`, `+48...`, `18:00` and `NO` stay text. The tree is built from libyaml's events without recursion, because
`compose()` overflows the C stack on deeply nested input. Nothing here raises on any input: what is wrong is a Problem.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

from sipacr.routing.ruleset import Position
from sipacr.rulefile.problems import Problem
from sipacr.rulefile.traps import Finding, explain_empty, explain_key, explain_syntax, hidden_entries

MAX_DEPTH = 60  # mappings and lists within each other; ten nested rules need thirty
MAX_ALIASED = 100_000  # nodes that aliases may add to a file
MAX_BYTES = 64 * 1024 * 1024


class Text(str):
    """A scalar as it was typed. `plain`: without quotes. An empty plain one is a missing value."""

    __slots__ = ("column", "line", "plain")

    line: int
    column: int
    plain: bool

    @property
    def is_missing(self) -> bool:
        return self.plain and self in _NOTHING


class Mapping(dict[str, "Node"]):
    """Its keys are Text too, which `key` tells the type checker."""

    __slots__ = ("column", "line", "under")

    line: int
    column: int
    under: Text | None  # the key whose value this is; None in a list and at the top

    def key(self, name: str) -> Text:
        """The key `name` with its position. Raises KeyError if it is not there."""
        for key in self.names():
            if key == name:
                return key
        raise KeyError(name)

    def rename(self, key: Text, name: str) -> None:
        """Reads `key` as `name`, at the place of `key`."""
        self[make_text(name, key.line, key.column)] = self.pop(key)

    def names(self) -> list[Text]:
        """The keys, with their positions."""
        return cast(list[Text], list(self))


class Sequence(list["Node"]):
    __slots__ = ("column", "line", "under")

    line: int
    column: int
    under: Text | None  # as in Mapping


Node = Text | Mapping | Sequence

_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(slots=True)
class Tree:
    """One file. `root` is None if it is empty or cannot be read; `whole` says whether all of it was understood."""

    file: str
    root: Node | None
    text: str = ""
    whole: bool = True
    problems: list[Problem] = field(default_factory=list)

    def position(self, node: Node) -> Position:
        return Position(self.file, node.line, node.column)


def describe(node: Node) -> str:
    """What stands there, in words."""
    if isinstance(node, Mapping):
        return "a mapping (key: value)"
    if isinstance(node, Sequence):
        return "a list"
    return "nothing" if node.is_missing else f'"{node}"'


def make_text(value: str, line: int, column: int, plain: bool = False) -> Text:
    text = Text(value)
    text.line = line
    text.column = column
    text.plain = plain
    return text


def read_file(path: Path) -> Tree:
    """The tree of one file; a file that cannot be read is a problem at its first sign."""
    file = str(path)
    try:
        if path.is_dir():
            return _unreadable(file, "this is a directory, not a file")
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return _unreadable(file, "there is no such file")
    except PermissionError:
        return _unreadable(file, "may not be read; check its owner and its rights")
    except (OSError, ValueError) as error:
        return _unreadable(file, f"cannot be read: {getattr(error, 'strerror', None) or error}")
    return read_bytes(data, file)


def read_bytes(data: bytes, file: str) -> Tree:
    """The tree of one file's content. A byte order mark is no part of it; UTF-8 only."""
    if len(data) > MAX_BYTES:
        return _unreadable(file, f"is larger than {MAX_BYTES // 1024 // 1024} MB")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return _unreadable(file, "is UTF-16; save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        start = data.rfind(b"\n", 0, error.start) + 1
        column = len(data[start : error.start].decode("utf-8", "replace")) + 1
        line = data.count(b"\n", 0, error.start) + 1
        found = Finding(line, column, f"the byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8")
        return Tree(file, None, whole=False, problems=[found.problem(file)])
    return read_text(text, file)


def read_text(text: str, file: str) -> Tree:
    """The tree of `text`. Every problem of YAML itself is in the tree's `problems`."""
    tree = Tree(file, None, text)
    _Builder(tree).build()
    return tree


def _unreadable(file: str, message: str) -> Tree:
    return Tree(file, None, whole=False, problems=[Finding(1, 1, message).problem(file)])


@dataclass(slots=True)
class _Open:
    """A mapping or list that is being filled."""

    node: Mapping | Sequence
    anchor: str | None
    problems: int  # how many there were when it was opened
    size: int = 1  # nodes in it, aliases counted as often as they are used
    key: Text | None = None  # of a mapping: the key whose value comes next
    ignored: bool = False  # of a mapping: this key cannot be used, its value is left out

    @property
    def awaits_key(self) -> bool:
        return isinstance(self.node, Mapping) and self.key is None


class _Builder:
    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.lines = tree.text.splitlines()
        self.stack: list[_Open] = []
        self.anchors: dict[str, tuple[Node, int]] = {}
        self.aliased = 0

    def build(self) -> None:
        """Fills the tree; stops at the first thing after which positions mean nothing."""
        control = _control_character(self.tree.text)
        if control is not None:
            self.stop(control)
            return
        try:
            for event in yaml.parse(self.tree.text, Loader=yaml.CSafeLoader):
                if not self.take(event):
                    return
        except yaml.MarkedYAMLError as error:
            opened = (self.stack[-1].node.line, self.stack[-1].node.column) if self.stack else (1, 1)
            self.stop(explain_syntax(self.lines, error, opened))
        except yaml.YAMLError as error:
            self.stop(Finding(1, 1, f"this is not YAML: {error}"))

    def take(self, event: Any) -> bool:
        """One event; False to stop."""
        kind = type(event)
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if kind is yaml.ScalarEvent:
            text = make_text(event.value, line, column, event.style in (None, ""))
            said = False
            if event.tag is not None and (event.tag != "!" or text.is_missing):
                self.report(Finding(line, column, f'"{_short(event.tag)}" is a tag to YAML; put it in quotes'))
                said = True
            elif text.is_missing and event.anchor is not None:
                self.report(Finding(line, column, f'"&{event.anchor}" is an anchor to YAML; put it in quotes'))
                said = True
            return self.add(text, 1, event.anchor, said)
        if kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            return self.open(event, line, column)
        if kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            done = self.stack.pop()
            if kind is yaml.SequenceEndEvent and event.start_mark.index < event.end_mark.index:  # it ends with a ]
                for finding in hidden_entries(self.lines, done.node.line, line):
                    self.report(finding)
            if self.stack and self.stack[-1].awaits_key:  # all that is wrong in it is that it is a key
                del self.tree.problems[done.problems :]
            return self.add(done.node, done.size, done.anchor)
        if kind is yaml.AliasEvent:
            return self.alias(event.anchor, line, column)
        if kind is yaml.DocumentStartEvent and self.tree.root is not None:
            return self.stop(Finding(line, column, "a second document begins here (---); a file holds one"))
        return True

    def open(self, event: Any, line: int, column: int) -> bool:
        node: Mapping | Sequence = Mapping() if type(event) is yaml.MappingStartEvent else Sequence()
        node.line, node.column = line, column
        node.under = self.stack[-1].key if self.stack else None
        if event.tag not in (None, "!"):
            self.report(Finding(line, column, f'"{_short(event.tag)}" is a YAML tag; leave it out'))
        if len(self.stack) >= MAX_DEPTH:
            return self.stop(Finding(line, column, f"nested more than {MAX_DEPTH} deep"))
        self.stack.append(_Open(node, event.anchor, len(self.tree.problems)))
        return True

    def alias(self, name: str, line: int, column: int) -> bool:
        if any(open_.anchor == name for open_ in self.stack):
            return self.stop(Finding(line, column, f'"*{name}" stands within what it names'))
        if name not in self.anchors:
            said = f'"*{name}" is an alias to YAML, and there is no &{name}; if it is meant as text, put it in quotes'
            self.report(Finding(line, column, said))
            return self.add(make_text("", line, column, plain=True), 1, None, said=True)
        node, size = self.anchors[name]
        self.aliased += size
        if self.aliased > MAX_ALIASED:
            return self.stop(Finding(line, column, f"aliases blow this file up by more than {MAX_ALIASED} nodes"))
        return self.add(node, size, None)

    def add(self, node: Node, size: int, anchor: str | None, said: bool = False) -> bool:
        """Puts a finished node where it belongs. `said`: that it has no value is reported already."""
        if anchor is not None:
            self.anchors[anchor] = (node, size)
        if not self.stack:
            self.tree.root = node
            return True
        parent = self.stack[-1]
        parent.size += size
        if parent.awaits_key and isinstance(parent.node, Mapping):
            self.add_key(parent, parent.node, node, said)
            return True
        if isinstance(node, Text) and node.is_missing and not said and not parent.ignored:
            key = None if parent.key is None else (str(parent.key), parent.key.line, parent.key.column)
            self.report(explain_empty(self.lines, node.line, node.column, key))
        if isinstance(parent.node, Sequence):
            parent.node.append(node)
        else:
            if parent.key is not None and not parent.ignored:
                parent.node[parent.key] = node
            parent.key = None
        return True

    def add_key(self, parent: _Open, mapping: Mapping, node: Node, said: bool) -> None:
        """Takes a key; the value of one that cannot be used is read and left out."""
        parent.key = make_text("", node.line, node.column)
        parent.ignored = True
        if not isinstance(node, Text):
            self.report(explain_key(self.lines, node.line, node.column))
        elif node.is_missing:
            if not said:
                self.report(
                    Finding(node.line, node.column, "a key is missing here; if the text is meant, put it in quotes")
                )
        elif node == "<<" and node.plain:
            self.report(Finding(node.line, node.column, 'merging with "<<" is not supported; write the keys out'))
        elif node in mapping:
            first = self.tree.position(mapping.key(node))
            self.report(Finding(node.line, node.column, f'"{node}" stands twice; the first one is at {first}'))
        else:
            parent.key = node
            parent.ignored = False

    def report(self, finding: Finding) -> None:
        """Of two things at one place the later one counts: libyaml has read more of it by then."""
        problem = finding.problem(self.tree.file)
        if self.tree.problems and self.tree.problems[-1].position == problem.position:
            self.tree.problems.pop()
        self.tree.problems.append(problem)

    def stop(self, finding: Finding) -> bool:
        """The rest of the file cannot be read; the whole entries of its sections stay."""
        self.report(finding)
        self.tree.whole = False
        del self.stack[2:]
        while self.stack:
            done = self.stack.pop()
            if done.node:
                self.add(done.node, done.size, None)
        return False


def _short(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")


def _control_character(text: str) -> Finding | None:
    """The first character that YAML does not allow at all; libyaml would only tell its offset."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.isprintable():
            continue
        for column, character in enumerate(line, 1):
            code = ord(character)
            if (
                (code < 0x20 and character not in "\t\r")
                or (0x7F <= code < 0xA0 and code != 0x85)
                or code in (0xFFFE, 0xFFFF)
            ):
                return Finding(number, column, f"control character 0x{code:02x}; remove it, or save the file as UTF-8")
    return None
