"""YAML's own traps in words.

What libyaml says about `*97`, `#31#`, `?22`, `@pbx` or `[::]:5060` without quotes helps no telephony admin.
"""

import re
from typing import NamedTuple

import yaml

from sipacr.routing.ruleset import Position
from sipacr.rulefile.problems import Problem

# Where a value begins: after a key's colon, a list's dash, or a sign that opens or divides a flow collection.
_STARTS = re.compile(r"""(?:^\s*|:\s+|[\[{,]\s*|-\s+)(?=[*#?@%`&!|>:\[])""")
_TOKEN = re.compile(r"[^\s,\]}]+")
_IPV6 = re.compile(
    r"""(?<!["'\w:.])(?:\[(?=[^\]]*:)[0-9A-Fa-f:.]+\](?::\d+|/\d+)|(?=[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:)[0-9A-Fa-f:.]+(?:/\d+)?)"""
)

# What libyaml says -> what is meant. The first that is part of its message counts.
_WORDS = (
    (
        "mapping values are not allowed",
        "a colon is not expected here: the line is indented wrongly, or a text with a colon wants quotes",
    ),
    ("found character '\\t'", "a tab cannot indent; use spaces"),
    ("found unknown escape character", "in double quotes a backslash is YAML's own; use single quotes: '\\+48.*'"),
    ("did not find expected ',' or ']'", "a list in [ ] goes wrong here: a comma or a ] is missing"),
    ("did not find expected ',' or '}'", "a mapping in { } goes wrong here: a comma or a } is missing"),
    (
        "did not find expected key",
        "a key is expected here: the line is indented wrongly, or something follows a text in quotes",
    ),
    (
        "did not find expected '-' indicator",
        "a dash is expected here: the line is indented wrongly, or the - is missing",
    ),
    ("did not find expected node content", "a value is expected here"),
    (
        "block sequence entries are not allowed",
        "a dash is not expected here: put the list on lines of its own, or the text in quotes",
    ),
    ("mapping keys are not allowed", "a ? is not expected here; put it in quotes"),
    ("could not find expected ':'", "a colon is missing: a key is followed by a colon and a space"),
    ("did not find expected <document start>", "the indentation is wrong: this line belongs to nothing above it"),
    ("unexpected ':'", "a colon is not expected here; put the text in quotes"),
    ("unknown directive", "a line that begins with % is a directive to YAML; put it in quotes"),
)


_AFTER_A_TEXT = ("mapping values are not allowed", "did not find expected ',' or", "did not find expected key")
_VALUE_BEFORE = re.compile(r""":\s+([^\s"'\[\]{},:#][^"'\[\]{},:]*?)\s*$""")


_DIALLED = re.compile(r"\s*(#\d+#\d*)\s*,?\s*")  # a service code alone on its line


class Finding(NamedTuple):
    """A problem whose file is known by whoever asked; line and column count from 1."""

    line: int
    column: int
    message: str

    def problem(self, file: str) -> Problem:
        return Problem(Position(file, self.line, self.column), self.message)


def explain_syntax(lines: list[str], error: yaml.MarkedYAMLError, opened: tuple[int, int]) -> Finding:
    """What is wrong where libyaml gave up; the position is the first sign of what wants quotes, if that is it.

    `opened`: line and column of the innermost mapping or list that was still open.
    """
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Finding(1, 1, f"this is not YAML: {error}")
    problem, where = str(error.problem or ""), str(error.context or "")
    line = lines[mark.line] if mark.line < len(lines) else ""
    if "cannot start any token" in problem and line[mark.column : mark.column + 1] == "\t":
        problem = "found character '\\t'"
    found = _trap_near(lines, opened[0] - 1, mark.line, mark.column)
    if found is None and error.context_mark is not None:
        found = _left_open(lines, problem, where, error.context_mark, mark, opened)
    if found is None and any(said in problem for said in _AFTER_A_TEXT):
        found = _second_colon(line, mark.line, mark.column) or _apostrophe(line, mark.line, mark.column)
    if found is not None:
        return found
    words = next((words for said, words in _WORDS if said in problem), f"this is not YAML: {problem}")
    return Finding(mark.line + 1, mark.column + 1, words)


def _left_open(
    lines: list[str], problem: str, where: str, began: yaml.Mark, ended: yaml.Mark, opened: tuple[int, int]
) -> Finding | None:
    """What began somewhere and does not end: said where it began."""
    if "scanning a quoted scalar" in where and "end of stream" in problem:
        return Finding(began.line + 1, began.column + 1, "the quote that is opened here is never closed")
    if "flow" in where and not "".join(lines[ended.line :])[ended.column :].strip():
        sign = lines[opened[0] - 1][opened[1] - 1 : opened[1]]
        return Finding(*opened, f"the {sign} that is opened here is never closed")
    return None


def _second_colon(line: str, number: int, column: int) -> Finding | None:
    """`name: VIP: gold`: a colon within what is a value already."""
    value = _VALUE_BEFORE.search(line[:column])
    if value is None or line[column : column + 1] != ":":
        return None
    text = re.split(r"[,\]}]|\s#", line[value.start(1) :])[0].rstrip()
    said = f'the text "{text}" has a colon; put it in quotes, or, if it is a key and its value, on a line of its own'
    return Finding(number + 1, value.start(1) + 1, said)


def _apostrophe(line: str, number: int, column: int) -> Finding | None:
    """`'Customers' line'`: the text ends at the second one."""
    quoted = re.search(r"'[^']*'$", line[:column])
    if quoted is None or not line[column : column + 1].strip():
        return None
    said = "an apostrophe ends a text in single quotes; put the text in double quotes"
    return Finding(number + 1, quoted.start() + 1, said)


def explain_empty(lines: list[str], line: int, column: int, key: tuple[str, int, int] | None) -> Finding:
    """A value that is not there. `line`, `column`: where libyaml saw nothing; `key`: name, line, column of its key."""
    text = lines[line - 1] if line <= len(lines) else ""
    comment = re.compile(r"\s*(#\S.*)").match(text, column - 1)
    if comment is not None:
        word = comment[1].split()[0]
        return Finding(
            line, comment.start(1) + 1, f'"{word}" begins a comment to YAML, so nothing is left; put it in quotes'
        )
    if key is None:
        return Finding(line, column, "this entry has no value")
    name, key_line, key_column = key
    if _before(lines, key_line, key_column) == "?":
        return Finding(key_line, key_column - 1, f'"?{name}" begins with a sign of YAML; put it in quotes')
    hint = "; a colon is followed by a space" if ":" in name and not name.endswith(":") else ""
    return Finding(key_line, key_column, f'"{name}" has no value{hint}')


def hidden_entries(lines: list[str], first: int, last: int) -> list[Finding]:
    """Service codes such as `#31#` on lines of their own within a list in [ ], from line to line: they are comments."""
    found = []
    for number in range(first + 1, last):
        code = _DIALLED.fullmatch(lines[number - 1])
        if code is not None:
            found.append(Finding(number, code.start(1) + 1, f'"{code[1]}" begins a comment to YAML; put it in quotes'))
    return found


def explain_key(lines: list[str], line: int, column: int) -> Finding:
    """A key that is a list or a mapping."""
    address = _ipv6_at(lines, line - 1, column - 1)
    if address is not None:
        return address
    if lines[line - 1][column - 1 : column + 1] == "{{":
        return Finding(line, column, "{{ }} is not YAML; if it is meant as text, put it in quotes")
    return Finding(line, column, "a key is one word, not a list or a mapping; if it is meant as text, put it in quotes")


def _before(lines: list[str], line: int, column: int) -> str:
    return lines[line - 1][column - 2 : column - 1] if 0 < line <= len(lines) and column > 1 else ""


def _trap_near(lines: list[str], first: int, last: int, column: int) -> Finding | None:
    """The trap that explains a syntax error at `last`, `column` (from 0) within what began on line `first` (from 0)."""
    address = _ipv6_at(lines, last, column)
    if address is not None:
        return address
    for number in range(min(last, len(lines) - 1), first - 1, -1):
        text = _without_quoted(lines[number])
        limit = column if number == last else len(text)
        starts = [match.end() for match in _STARTS.finditer(text) if match.end() <= limit]
        for start in reversed(starts):
            found = _trap_at(text, start, number == last)
            if found is not None:
                return Finding(number + 1, start + 1, found)
    return None


def _trap_at(text: str, start: int, on_the_line: bool) -> str | None:
    """What is wrong with the value that begins at `start`, if it begins with a sign of YAML's own."""
    sign = text[start]
    match = _TOKEN.match(text, start)
    word = match[0] if match else sign
    follows = text[start + 1 : start + 2]
    if sign == "#":  # a line of its own is a comment that is meant
        meant = not text[:start].strip() or not follows.strip()
        return None if meant else f'"{word}" begins a comment to YAML; put it in quotes'
    if not on_the_line:
        return None
    if sign == "*":
        return f'"{word}" is an alias to YAML; put it in quotes'
    if sign == "&":
        return f'"{word}" is an anchor to YAML; put it in quotes'
    if sign == "!":
        return f'"{word}" is a tag to YAML; put it in quotes'
    if sign in "|>":
        return f'"{word}" begins a text of several lines to YAML; put it in quotes'
    if sign in "?@%`" and (sign != "%" or start > 0):
        return f'"{word}" begins with a sign of YAML; put it in quotes'
    return None


def _ipv6_at(lines: list[str], line: int, column: int) -> Finding | None:
    """The IPv6 address without quotes that `column` (from 0) is in or at the end of."""
    if line >= len(lines):
        return None
    for match in _IPV6.finditer(_without_quoted(lines[line])):
        if match.start() - 1 <= column <= match.end():
            return Finding(
                line + 1, match.start() + 1, f"the IPv6 address {match[0]} contains signs of YAML; put it in quotes"
            )
    return None


def _without_quoted(text: str) -> str:
    """The line with its quoted texts blanked, positions kept."""
    return re.sub(r""""(?:[^"\\]|\\.)*"|'[^']*'""", lambda match: "_" * len(match[0]), text)
