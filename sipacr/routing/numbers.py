"""Reads numbers as one country writes them: raw text in, raw text and E.164 out. No clock, no state but memos."""

import re
from functools import cache

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumberDesc, PhoneNumberFormat

from sipacr.routing.facts import Number

# What people and machines put between digits: RFC 3966 visual separators, spaces and dashes of word processors, the
# wait sign of "8~10", and the invisible direction marks that address books copy along.
SEPARATORS = " \t-./()~\u00a0\u2009\u202f\u2010\u2011\u2012\u2013\u200b\u200e\u202a\u202c\ufeff"

_MEMO_SIZE = 4096  # entries of one plan; about 350 bytes each, and a plan in use must stay far below 5 MB
_LONGEST = 256  # characters; a longer user part is never a number, and is not worth keeping in the memo
_LONGEST_DIALLED = 24  # digits: E.164 with the longest prefixes before it
_NO_SEPARATORS = str.maketrans("", "", SEPARATORS)
_CALLING_CODES = frozenset(map(str, phonenumbers.COUNTRY_CODE_TO_REGION_CODE))
_PLAIN_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_BARE = re.compile(r"\+?[0-9]+")
_DIALLABLE = re.compile(r"[+*#]*[0-9][0-9+*#]*")
_CONTEXT = re.compile(r";phone-context=(\+[0-9.()-]+)(?:;|\Z)", re.IGNORECASE)


def clean(raw: str) -> str:
    """`raw` without parameters and, if it is made of digits, plus, star, hash and separators only, without separators.

    A name keeps its dots and dashes: john.smith and johnsmith are two people.
    """
    text = raw.partition(";")[0] if ";" in raw else raw
    digits = text.translate(_NO_SEPARATORS)
    if _DIALLABLE.fullmatch(digits):
        return digits
    text = text.strip()
    if text[:4].lower() == "tel:":
        text = text[4:]
        digits = text.translate(_NO_SEPARATORS)
        return digits if _DIALLABLE.fullmatch(digits) else text
    return text


class NumberPlan:
    """The numbering plan of one country, compiled once from the metadata of `phonenumbers`.

    A number with a plus or an international prefix is E.164 by its form (7 to 15 digits): it says itself what it is,
    and the metadata lag behind the plans. One without must be valid by the metadata, or it is an extension or a name.
    """

    __slots__ = (
        "_calling_code",
        "_extensions",
        "_international_prefix",
        "_memo",
        "_out_international",
        "_out_national",
        "_plain_length",
        "_prefix",
        "_prefix_rule",
        "_trunk_prefix",
        "_usual_length",
        "_valid",
        "country",
    )

    def __init__(self, country: str, extensions: tuple[str, ...] = ()) -> None:
        """`country`: ISO 3166-1 alpha-2; `extensions`: masks of internal numbers, which are never E.164.

        Raises ValueError if there is no such numbering plan or a mask is bad.
        """
        self.country = country.upper()
        from sipacr.routing.masks import Mask  # which reads numbers itself

        self._extensions = tuple(Mask(pattern) for pattern in extensions)
        if self.country not in phonenumbers.SUPPORTED_REGIONS:
            hint = '; did you mean "GB"?' if self.country == "UK" else ""
            raise ValueError(f'"{country}" is not an ISO 3166-1 country code such as PL or DE{hint}')
        metadata = _metadata(self.country)
        self._calling_code = str(metadata.country_code)
        self._valid = validity(_countries(int(self._calling_code)))
        self._international_prefix = re.compile(metadata.international_prefix or "(?!)")
        self._trunk_prefix = metadata.national_prefix or ""
        # Poland and others gave up the 0 that people go on writing: where there is no prefix, a 0 is read as one.
        self._prefix = re.compile(metadata.national_prefix_for_parsing or "0")
        self._prefix_rule = metadata.national_prefix_transform_rule or ""
        self._usual_length = min(len(number) for number in _examples(self.country))
        # Shorter ones are extensions. Where a national prefix is dialled, a number without it is a doubtful one anyway.
        self._plain_length = self._usual_length if self._trunk_prefix else min(self._usual_length, 7)
        self._out_international = _outgoing_international(metadata)
        self._out_national = _outgoing_national(self.country)
        self._memo: dict[str, Number] = {}

    @staticmethod
    @cache
    def of(country: str, extensions: tuple[str, ...] = ()) -> "NumberPlan":
        """The plan of `country`, made once. Raises ValueError as the constructor does."""
        return NumberPlan(country, extensions)

    def __repr__(self) -> str:
        return f"NumberPlan({self.country!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NumberPlan):
            return NotImplemented
        return (other.country, other._extensions) == (self.country, self._extensions)

    def __hash__(self) -> int:
        return hash(self.country)

    def read(self, raw: str) -> Number:
        """The number that `raw` means in this country. Any string is an answer; never raises.

        `raw` is a user part (with parameters or without, percent escapes decoded) or what a person has written.
        """
        number = self._memo.get(raw)
        if number is not None:
            return number
        e164 = self._with_plus(raw) if raw[:1] == "+" else None
        number = Number(raw, raw, e164) if e164 is not None else self._read(raw)
        if len(raw) <= _LONGEST:
            if len(self._memo) >= _MEMO_SIZE:
                self._memo.clear()
            self._memo[raw] = number
        return number

    def _read(self, raw: str) -> Number:
        text = raw if raw[1:].isdigit() and _BARE.fullmatch(raw) else clean(raw)
        # What is written with a plus says itself that it is no extension.
        internal = self._extensions and text[:1] != "+" and self._is_internal(Number(raw, text, None))
        return Number(raw, text, None if internal else self._e164(raw, text))

    def national(self, e164: str) -> str:
        """`e164` as it is dialled within this country ("221112233", "030123456", "84951234567").

        A number of another country is given as `international` gives it.
        """
        if e164.startswith(self._calling_code, 1):
            return self._out_national + e164[1 + len(self._calling_code) :]
        return self.international(e164)

    def international(self, e164: str) -> str:
        """`e164` with this country's international prefix instead of the plus ("0048...", "01148...").

        Where the prefix depends on the carrier (Brazil, Singapore) the plus stays: there is none that is right.
        """
        return self._out_international + e164[1:]

    def lengths(self, start: str) -> list[int]:
        """How many digits a number that begins with the digits `start` may have, the likeliest first."""
        coded = len(self._calling_code) + self._usual_length if start.startswith(self._calling_code) else 0
        shortest = max(self._usual_length, len(start))
        return sorted(range(shortest, 17), key=lambda length: length < coded)

    def _is_internal(self, number: Number) -> bool:
        return any(mask.matches(number) for mask in self._extensions)

    def _e164(self, raw: str, text: str) -> str | None:
        if text[:1] == "+":
            return self._with_plus(text)
        if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_DIALLED):
            return None
        if ";" in raw and (context := _CONTEXT.search(raw)):
            return self._in_context(context[1].translate(_NO_SEPARATORS), text)
        foreign = self._after_prefix(text)
        # A prefix that really leads abroad is never the beginning of a national number too, except in plans where
        # such a number is valid (Finland's 99): there the national one, which is shorter, is the one that is dialled.
        if foreign is not None and not self._valid.fullmatch(text):
            return foreign
        national = self._national_reading(text)
        # Germany's plan allows more digits after its calling code than E.164 has.
        return national if national is not None and len(national) <= 16 else foreign

    def _national_reading(self, text: str) -> str | None:
        """A number without any sign of being international, or None if the plan has none such."""
        own, valid, code = "+" + self._calling_code, self._valid, self._calling_code
        plain = len(text) >= self._plain_length and valid.fullmatch(text) is not None
        with_code = text.startswith(code) and valid.fullmatch(text, len(code)) is not None
        # Where a national prefix is dialled (Germany), a number without it is no national number yet: 4930123456 is
        # Berlin rather than area 4930, although the open plan would allow both.
        if with_code and (self._trunk_prefix or not plain):
            return "+" + text
        if plain:
            return own + text
        stripped = self._without_prefix(text)
        if stripped is not None and valid.fullmatch(stripped):
            return own + stripped
        return None

    def _with_plus(self, text: str) -> str | None:
        """`text` if it has the form of E.164, freed of a national prefix that has no place in it ("+49 (0)30 ...")."""
        if not _PLAIN_E164.fullmatch(text):
            return None
        code = self._calling_code
        if text.startswith(code, 1):
            national = text[1 + len(code) :]
            stripped = self._without_prefix(national)  # nearly always None, and told sooner than what is valid
            if stripped is not None and not self._valid.fullmatch(national) and self._valid.fullmatch(stripped):
                return "+" + code + stripped
            return text
        if "0" in text[2:5]:  # a 0 right after the calling code, which has one to three digits
            return _without_foreign_zero(text)
        return text

    def _after_prefix(self, text: str) -> str | None:
        """The number that stands in `text` after an international prefix, if its length is one that its country has:
        other digits may resemble a prefix. The pattern of prefixes may take too much (Hong Kong: 00 8... as 008)."""
        pattern = self._international_prefix.match(text)
        if pattern is None:
            return None
        usual = len(self._out_international) if text.startswith(self._out_international) else 0
        for end in (usual, pattern.end()):
            e164 = self._with_plus("+" + text[end:]) if end else None
            if e164 is not None and (code := _calling_code(e164)) and len(e164) - 1 - len(code) in _lengths(code):
                return e164
        return None

    def _in_context(self, context: str, text: str) -> str | None:
        """A local number of RFC 3966: `context` is the prefix that makes it global, "+48" or "+4822"."""
        joined = context + text
        if not _PLAIN_E164.fullmatch(joined):
            return None
        return self._with_plus(joined)

    def _without_prefix(self, text: str) -> str | None:
        """`text` without its national prefix, carrier code included, or None if it has no prefix."""
        found = self._prefix.match(text)
        if found is None or found.end() == 0:
            return None
        if self._prefix_rule and found.re.groups and found[found.re.groups] is not None:
            return found.expand(self._prefix_rule) + text[found.end() :]
        return text[found.end() :]


def _metadata(country: str) -> PhoneMetadata:
    metadata = PhoneMetadata.metadata_for_region(country)
    assert metadata is not None  # every supported region has its metadata
    return metadata


@cache
def validity(countries: tuple[str, ...]) -> re.Pattern[str]:
    """Matches the national part of every valid number of these countries, which share a calling code."""
    return re.compile("|".join(f"(?:{_region_pattern(country)})" for country in countries))


def _countries(calling_code: int) -> tuple[str, ...]:
    return tuple(phonenumbers.COUNTRY_CODE_TO_REGION_CODE[calling_code])


def _region_pattern(country: str) -> str:
    metadata = _metadata(country)
    kinds: tuple[PhoneNumberDesc | None, ...] = (
        metadata.fixed_line,
        metadata.mobile,
        metadata.toll_free,
        metadata.premium_rate,
        metadata.shared_cost,
        metadata.personal_number,
        metadata.voip,
        metadata.pager,
        metadata.uan,
        metadata.voicemail,
    )
    patterns = [kind.national_number_pattern for kind in kinds if kind is not None and kind.national_number_pattern]
    leading = f"(?={metadata.leading_digits})" if metadata.leading_digits else ""
    return f"{leading}(?:{'|'.join(dict.fromkeys(patterns))})"


def _examples(country: str) -> list[str]:
    """National parts of an ordinary fixed line and an ordinary mobile number."""
    kinds = (phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.MOBILE)
    found = [phonenumbers.example_number_for_type(country, kind) for kind in kinds]
    return [phonenumbers.national_significant_number(number) for number in found if number is not None]


def _outgoing_international(metadata: PhoneMetadata) -> str:
    prefix = (metadata.preferred_international_prefix or metadata.international_prefix or "").replace("~", "")
    return prefix if prefix.isdigit() else "+"


def _outgoing_national(country: str) -> str:
    """What is dialled before the national part: what the country's own notation puts there."""
    example = phonenumbers.example_number(country)
    if example is None:
        return ""
    written = phonenumbers.format_number(example, PhoneNumberFormat.NATIONAL)
    digits = "".join(character for character in written if character.isdigit())
    return digits.removesuffix(phonenumbers.national_significant_number(example))


def _calling_code(e164: str) -> str:
    """The calling code with which `e164` begins, empty if it is assigned to nobody. No code begins another."""
    for end in (3, 2, 4):
        if e164[1:end] in _CALLING_CODES:
            return e164[1:end]
    return ""


@cache
def _of_code(calling_code: str) -> PhoneMetadata | None:
    """Metadata of the country that a calling code chiefly means, or of the international service."""
    number = int(calling_code)
    return PhoneMetadata.metadata_for_region_or_calling_code(number, _countries(number)[0])


@cache
def _lengths(calling_code: str) -> tuple[int, ...]:
    """How many digits may follow a calling code."""
    metadata = _of_code(calling_code)
    return metadata.general_desc.possible_length if metadata and metadata.general_desc else ()


def _without_foreign_zero(text: str) -> str:
    """A foreign number as it stands on cards, "+49 (0)30 ...", without the national prefix (in Italy the 0 stays)."""
    code = _calling_code(text)
    metadata = _of_code(code) if code else None
    prefix = metadata.national_prefix if metadata else None
    if not prefix or not prefix.startswith("0"):
        return text
    rest = text[1 + len(code) :]
    while rest.startswith(prefix):
        rest = rest[len(prefix) :]
    stripped = f"+{code}{rest}"
    return stripped if _PLAIN_E164.fullmatch(stripped) else text
