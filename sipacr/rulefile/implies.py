"""What follows from what among conditions, key by key: number in mask, mask in mask, subdivision in country, the same
list or schedule. Nothing is inferred from share, regex, header or hours."""

from collections.abc import Iterator, Sequence

from sipacr.routing.conditions import (
    All,
    AnyOf,
    Condition,
    Contains,
    During,
    HeaderIs,
    IsAnonymous,
    IsKnown,
    IsShared,
    IsVip,
    MaskIs,
    Not,
    NumberIs,
    OnList,
    PeerIs,
    Regex,
    RegionIs,
    Share,
)
from sipacr.routing.facts import Number
from sipacr.routing.masks import Mask

_LOCAL = 7  # digits at the end of a number that no prefix is part of
_SILENT = (Regex, HeaderIs, Share)  # nothing is inferred from these
_FLAGS = (IsVip, IsKnown, IsAnonymous, IsShared)
_NAMED = (OnList, During, PeerIs)


def conjuncts(when: Condition | None) -> tuple[Condition, ...]:
    """The conditions of which all must hold."""
    if when is None:
        return ()
    if isinstance(when, All):
        return tuple(part for inner in when.parts for part in conjuncts(inner))
    return (when,)


def implied_by_all(theirs: Sequence[Condition], parts: Sequence[Condition]) -> bool:
    """Whether all of `theirs` hold whenever all of `parts` do."""
    return all(_implied(condition, parts) for condition in theirs)


def _implied(condition: Condition, parts: Sequence[Condition]) -> bool:
    """Whether `condition` holds whenever all of `parts` do."""
    if isinstance(condition, _SILENT):
        return False
    if isinstance(condition, All):
        return implied_by_all(condition.parts, parts)
    if isinstance(condition, AnyOf) and any(implied_by_all(conjuncts(branch), parts) for branch in condition.parts):
        return True
    return any(_implies(part, condition) for part in parts)


def _implies(part: Condition, condition: Condition) -> bool:
    """Whether `condition` holds whenever `part` does."""
    if isinstance(part, AnyOf):
        return all(_implied(condition, conjuncts(branch)) for branch in part.parts)
    if isinstance(condition, Not):  # whatever it refuses, `part` must refuse too
        return isinstance(part, Not) and all(
            any(_implied(other, conjuncts(refused)) for other in part.parts) for refused in condition.parts
        )
    if isinstance(condition, NumberIs):
        return (
            isinstance(part, NumberIs)
            and part.side == condition.side
            and part.e164 <= condition.e164
            and part.raw <= condition.raw
        )
    if isinstance(condition, MaskIs):
        return _in_masks(part, condition)
    if isinstance(condition, RegionIs):
        return (
            isinstance(part, RegionIs)
            and part.side == condition.side
            and all(code in condition.codes or code.partition("-")[0] in condition.codes for code in part.codes)
        )
    if isinstance(condition, _NAMED):
        return type(part) is type(condition) and set(part.names) <= set(condition.names)
    return isinstance(condition, (*_FLAGS, Contains)) and part == condition


def _in_masks(part: Condition, condition: MaskIs) -> bool:
    if isinstance(part, NumberIs) and part.side == condition.side:
        return all(any(_surely_matches(mask, number) for mask in condition.masks) for number in _numbers(part))
    if isinstance(part, MaskIs) and part.side == condition.side:
        return all(any(mask.subsumes(inner) for mask in condition.masks) for inner in part.masks)
    return False


def _numbers(condition: NumberIs) -> list[Number]:
    """The numbers as masks see them. How an E.164 number was typed on the wire is not known, so no raw mask is sure
    to match it."""
    known = [Number(number, "", number) for number in condition.e164]
    return known + [Number(number, number, None) for number in condition.raw]


def _surely_matches(mask: Mask, number: Number) -> bool:
    if mask.matches(number):
        return True
    # However the number was typed, with which prefix ever: its last digits are the same.
    last_digits = mask.is_suffix and len(mask.suffix) <= _LOCAL and mask.suffix.isdigit()
    return last_digits and number.e164 is not None and number.e164.endswith(mask.suffix)


def contradiction(parts: Sequence[Condition]) -> str | None:
    """Why these can never hold together, if that is certain."""
    for index, part in enumerate(parts):
        for other in parts[index + 1 :]:
            said = _against(part, other) or _against(other, part)
            if said is not None:
                return said
    return None


def _against(part: Condition, other: Condition) -> str | None:
    if isinstance(part, NumberIs) and isinstance(other, NumberIs) and part.side == other.side:
        if not (part.e164 & other.e164 or part.raw & other.raw):
            return f"it asks for two different numbers of the {_side(part.side)}"
    elif isinstance(part, NumberIs) and isinstance(other, MaskIs) and part.side == other.side:
        if not part.raw and all(mask.sees_e164 for mask in other.masks):
            numbers = _numbers(part)
            if not any(mask.matches(number) for number in numbers for mask in other.masks):
                return "its number does not match its mask"
    elif isinstance(part, PeerIs) and isinstance(other, PeerIs):
        if not set(part.names) & set(other.names):
            return "it asks for two different peers"
    elif isinstance(part, _FLAGS) and type(other) is type(part) and part != other:
        return "it asks for one thing and for its opposite"
    elif isinstance(part, Not) and any(_implied(refused, (other,)) for refused in part.parts):
        return "it asks for something that its own `not` refuses"
    return None


def _side(side: str) -> str:
    return "caller" if side == "caller" else "dialled side"


def filed_under(parts: Sequence[Condition]) -> list[list[object]]:
    """For each condition the keys under which the rule may be filed: whatever it shadows asks for one of them. () is
    the key of a rule that always matches; a rule of which nothing can be inferred has no choice."""
    if any(isinstance(part, _SILENT) for part in parts):
        return []
    return [_keys(part) for part in parts] if parts else [[()]]


def _keys(part: Condition) -> list[object]:
    if isinstance(part, NumberIs):
        return [(part.side, number) for number in (*part.e164, *part.raw)]
    if isinstance(part, MaskIs):
        return [_key_of_mask(part.side, mask) for mask in part.masks]
    if isinstance(part, RegionIs):
        return [(part.side, "region", code) for code in part.codes]
    if isinstance(part, _NAMED):
        return [(type(part), name) for name in part.names]
    if isinstance(part, AnyOf):
        return [key for branch in part.parts for keys in filed_under(conjuncts(branch))[:1] for key in keys]
    if isinstance(part, Not):
        return [Not]
    return [part]


def _key_of_mask(side: str, mask: Mask) -> object:
    """What a mask matches begins or ends with this."""
    return (side, "begins", mask.prefix) if mask.prefix else (side, "ends", mask.suffix)


def questions(parts: Sequence[Condition]) -> Iterator[object]:
    """Keys under which the rules stand that may shadow a rule with these conditions."""
    yield ()
    for part in parts:
        yield from _questions(part)


def _questions(part: Condition) -> Iterator[object]:
    if isinstance(part, NumberIs):
        number = next(iter((*part.e164, *part.raw)))
        yield part.side, number
        yield from _keys_of_text(part.side, number, number)
    elif isinstance(part, MaskIs):
        mask = part.masks[0]
        yield from _keys_of_text(part.side, mask.prefix, mask.suffix)
    elif isinstance(part, RegionIs):
        yield part.side, "region", part.codes[0]
        yield part.side, "region", part.codes[0].partition("-")[0]
    elif isinstance(part, _NAMED):
        yield type(part), part.names[0]
    elif isinstance(part, AnyOf):
        for inner in conjuncts(part.parts[0]):
            yield from _questions(inner)
    elif isinstance(part, Not):
        yield Not
    else:
        yield part


def _keys_of_text(side: str, prefix: str, suffix: str) -> Iterator[object]:
    """Keys of the masks that may take all texts that begin and end so."""
    for length in range(1, len(prefix) + 1):
        yield side, "begins", prefix[:length]
    for length in range(len(suffix) + 1):
        yield side, "ends", suffix[len(suffix) - length :]
