"""Turns the Russian numbering register's published CSV into a pack of prefixes: there mobile numbers have a region.

The register lists ranges (code, from, to) with their operator and region. `read_register` reads one of its files,
`prefixes` covers the ranges with prefixes, `pack_text` writes them as a pack that `regions` reads.
"""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

Codes = tuple[str, ...]

# The beginnings of words by which the register's texts name the subjects. "г. Москва и Московская область" has two.
_SUBJECTS = {
    "RU-AD": "адыге", "RU-AL": r"алтай\b", "RU-ALT": "алтайск", "RU-AMU": "амурск", "RU-ARK": "архангельск",
    "RU-AST": "астраханск", "RU-BA": "башкорт", "RU-BEL": "белгородск", "RU-BRY": "брянск", "RU-BU": "бурят",
    "RU-CE": "чечен|чечня", "RU-CHE": "челябинск", "RU-CHU": "чукот", "RU-CU": "чуваш", "RU-DA": "дагестан",
    "RU-IN": "ингуш", "RU-IRK": "иркутск", "RU-IVA": "ивановск", "RU-KAM": "камчат", "RU-KB": "кабардин",
    "RU-KC": "карачаев", "RU-KDA": "краснодарск", "RU-KEM": "кемеровск|кузбасс", "RU-KGD": "калининградск",
    "RU-KGN": "курганск", "RU-KHA": "хабаровск", "RU-KHM": "ханты", "RU-KIR": "кировск", "RU-KK": "хакас",
    "RU-KL": "калмык", "RU-KLU": "калужск", "RU-KO": r"коми\b(?!-перм)", "RU-KOS": "костромск", "RU-KR": "карели",
    "RU-KRS": "курск", "RU-KYA": "красноярск", "RU-LEN": "ленинградск", "RU-LIP": "липецк", "RU-MAG": "магаданск",
    "RU-ME": "марий", "RU-MO": "мордов", "RU-MOS": "московск", "RU-MOW": "москва", "RU-MUR": "мурманск",
    "RU-NEN": "(?<!ямало-)ненецк", "RU-NGR": "новгородск", "RU-NIZ": "нижегородск", "RU-NVS": "новосибирск",
    "RU-OMS": "омск", "RU-ORE": "оренбургск", "RU-ORL": "орловск", "RU-PER": "пермск|коми-перм", "RU-PNZ": "пензенск",
    "RU-PRI": "приморск", "RU-PSK": "псковск", "RU-ROS": "ростовск", "RU-RYA": "рязанск", "RU-SA": r"саха\b|якути",
    "RU-SAK": "сахалинск", "RU-SAM": "самарск", "RU-SAR": "саратовск", "RU-SE": "осети", "RU-SMO": "смоленск",
    "RU-SPE": "санкт-петербург", "RU-STA": "ставропольск", "RU-SVE": "свердловск", "RU-TA": "татарстан",
    "RU-TAM": "тамбовск", "RU-TOM": "томск", "RU-TUL": "тульск", "RU-TVE": "тверск", "RU-TY": "тыва|тува",
    "RU-TYU": "тюменск", "RU-UD": "удмурт", "RU-ULY": "ульяновск", "RU-VGG": "волгоградск", "RU-VLA": "владимирск",
    "RU-VLG": "вологодск", "RU-VOR": "воронежск", "RU-YAN": "ямало", "RU-YAR": "ярославск", "RU-YEV": "еврейск",
    "RU-ZAB": "забайкальск|читинск", "UA-43": "крым", "UA-40": "севастопол", "UA-14": "донецк", "UA-09": "луганск",
    "UA-23": "запорожск", "UA-65": "херсонск", "KZ": "байконур", "RU": "российская федерация",
}  # fmt: skip
_PATTERNS = {code: re.compile(rf"\b(?:{stems})") for code, stems in _SUBJECTS.items()}
_COLUMNS = ("АВС/ DEF", "От", "До", "Регион")
_LAST = 9_999_999  # seven digits follow the code


class Range(NamedTuple):
    """Numbers from +7 `code` `first` to +7 `code` `last`, both included."""

    code: str
    first: int
    last: int
    codes: Codes


class RegisterProblem(NamedTuple):
    """What is wrong in a line of the register; lines count from 1."""

    line: int
    message: str


def read_register(content: bytes) -> tuple[list[Range], list[RegisterProblem]]:
    """All ranges of a file of the register (UTF-8, or Windows-1251 as it once was; semicolons; a header)."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1251", errors="replace")
    rows = csv.reader(text.splitlines(), delimiter=";")
    header = [_letters(cell) for cell in next(rows, [])]
    if missing := [name for name in _COLUMNS if _letters(name) not in header]:
        return [], [RegisterProblem(1, f"the header lacks {', '.join(missing)}; is it a file of the register?")]
    places = [header.index(_letters(name)) for name in _COLUMNS]
    ranges: list[Range] = []
    problems: list[RegisterProblem] = []
    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        try:
            ranges.append(_range(*(row[place].strip() if place < len(row) else "" for place in places)))
        except ValueError as error:
            problems.append(RegisterProblem(rows.line_num, str(error)))
    return ranges, problems


@cache  # a file has some 100,000 ranges and some thousand texts
def subjects(text: str) -> Codes:
    """The codes of a region's text. Raises ValueError if it names none that is known.

    After a "|" stands the subject, before it only a town or a district of it.
    """
    words = text.rpartition("|")[2].lower().replace("ё", "е")
    found = tuple(code for code, pattern in _PATTERNS.items() if pattern.search(words))
    if not found:
        raise ValueError(f'the region "{text}" is none of the subjects')
    # The occupied oblasts are numbered by Russia and listed by ISO 3166-2 under Ukraine.
    return ("RU", *found) if all(code.startswith("UA") for code in found) else found


def prefixes(ranges: Iterable[Range]) -> dict[str, Codes]:
    """The fewest prefixes (digits, 7 first) that cover the ranges. The register's do not overlap; of two that do, the
    longer prefix counts, and equal ones have the codes of both."""
    found: dict[str, Codes] = {}
    for span in _joined(ranges):
        for digits in _cover(span.first, span.last):
            prefix = f"7{span.code}{digits}"
            before = found.get(prefix, ())
            found[prefix] = (*before, *(code for code in span.codes if code not in before))
    return found


def pack_text(pack: Mapping[str, Codes], source: str) -> str:
    """A pack as CSV; `source` says where it comes from and of which day it is."""
    lines = [f"# {line}" for line in source.splitlines()] + ["prefix,code"]
    lines += [f"{prefix},{code}" for prefix, codes in sorted(pack.items()) for code in codes]
    return "\n".join(lines) + "\n"


def _range(code: str, first: str, last: str, region: str) -> Range:
    if not (code.isascii() and code.isdigit() and len(code) == 3):
        raise ValueError(f'the code "{code}" has not three digits')
    for border in (first, last):
        if not (border.isascii() and border.isdigit() and int(border) <= _LAST):
            raise ValueError(f'"{border}" is no number of up to seven digits')
    if int(first) > int(last):
        raise ValueError(f"the range ends ({last}) before it begins ({first})")
    return Range(code, int(first), int(last), subjects(region))


def _letters(cell: str) -> str:
    """A header's name without spaces and case; the register writes ABC in Cyrillic."""
    return re.sub(r"\W", "", cell).lower().translate(str.maketrans("abc", "авс"))


def _joined(ranges: Iterable[Range]) -> list[Range]:
    """Ranges in order, neighbours with the same codes made one."""
    joined: list[Range] = []
    for span in sorted(ranges):
        before = joined[-1] if joined else None
        if before is not None and before[:1] + before[3:] == span[:1] + span[3:] and span.first <= before.last + 1:
            joined[-1] = before._replace(last=max(before.last, span.last))
        else:
            joined.append(span)
    return joined


def _cover(first: int, last: int) -> Sequence[str]:
    """The fewest beginnings of seven-digit numbers that are those from `first` to `last` and no others."""
    found = []
    while first <= last:
        zeros = 0
        while zeros < 7 and first % 10 ** (zeros + 1) == 0 and first + 10 ** (zeros + 1) - 1 <= last:
            zeros += 1
        found.append(f"{first:07}"[: 7 - zeros])
        first += 10**zeros
    return found
