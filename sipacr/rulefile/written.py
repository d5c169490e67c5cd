"""How the exact numbers of rules were read, for `sipacr check`: what was written, where, and as what it is compared."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sipacr.routing.facts import Number
from sipacr.routing.numbers import NumberPlan
from sipacr.routing.ruleset import Position
from sipacr.rulefile.folder import rule_files
from sipacr.rulefile.yamltree import Mapping, Node, Sequence, Text, read_file


class Written(NamedTuple):
    """One exact number of a condition."""

    position: Position
    text: str
    number: Number

    def __str__(self) -> str:
        if self.number.e164 is None:
            return f'{self.position}: "{self.text}" is compared with the raw number'
        same = " as written" if self.number.e164 == self.text else f" as {self.number.e164}"
        return f'{self.position}: "{self.text}" is compared in E.164,{same}'


def written_numbers(folder: Path, plan: NumberPlan) -> list[Written]:
    """All exact numbers of the conditions in `folder`, in file order; files that cannot be read have none."""
    found = []
    for path in rule_files(folder)[0]:
        tree = read_file(path)
        if isinstance(tree.root, Mapping):
            rules = (tree.root[key] for key in ("rules", "outgoing") if key in tree.root)
            for text in (text for node in rules for text in _numbers(node)):
                found.append(Written(tree.position(text), str(text), plan.read(text)))
    return found


def _numbers(node: Node) -> Iterator[Text]:
    if isinstance(node, Sequence):
        for item in node:
            yield from _numbers(item)
    elif isinstance(node, Mapping):
        for key, value in node.items():
            if key not in ("caller", "dialled"):
                yield from _numbers(value)
            elif isinstance(value, Mapping):
                yield from _texts(value.get("number"))
            else:
                yield from _texts(value)


def _texts(node: Node | None) -> Iterator[Text]:
    """A number, or several."""
    if isinstance(node, Text):
        yield node
    elif isinstance(node, Sequence):
        yield from (item for item in node if isinstance(item, Text))
