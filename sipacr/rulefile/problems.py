"""What is wrong in the admin's files: a value with a position, never an exception."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from sipacr.routing.ruleset import Position

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """An error refuses the whole set of files, a warning does not."""

    position: Position
    message: str
    severity: Severity = "error"

    def __str__(self) -> str:
        return f"{self.position}: {self.severity}: {self.message}"


def has_errors(problems: Iterable[Problem]) -> bool:
    return any(problem.severity == "error" for problem in problems)


def in_file_order(problems: Iterable[Problem]) -> list[Problem]:
    """Sorted by position, files in the order of their first problem, and each said once."""
    unique = dict.fromkeys(problems)
    files = {problem.position.file: None for problem in unique}
    order = {file: index for index, file in enumerate(files)}
    return sorted(
        unique, key=lambda problem: (order[problem.position.file], problem.position.line, problem.position.column)
    )


def without_echoes(first: Sequence[Problem], later: Iterable[Problem]) -> list[Problem]:
    """`first`, and of `later` what is said of another place: what YAML misread is not to be blamed twice."""
    places = {problem.position for problem in first}
    return [*first, *(problem for problem in later if problem.position not in places)]


def nearest(word: str, known: Iterable[str], cutoff: float = 0.55) -> str | None:
    """The known word that is most like `word`; with a `cutoff` near 1 only one that it is surely meant for."""
    folded = {candidate.casefold(): candidate for candidate in known}
    near = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=cutoff)
    return folded[near[0]] if near else None


def with_article(noun: str) -> str:
    """`an agent`, `a group`."""
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def suggestion(word: str, known: Iterable[str]) -> str:
    """`; did you mean "..."?` with the known word that is nearest to `word`, or nothing."""
    near = nearest(word, known)
    return f'; did you mean "{near}"?' if near else ""
