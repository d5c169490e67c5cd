"""Sticky profiles: the presets of the memory, what must be written with each, and the profile that results."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sipacr.routing.ruleset import Event, LearnFrom, StickyProfile
from sipacr.rulefile.yamltree import Mapping, Node, Sequence, Text

if TYPE_CHECKING:
    from sipacr.rulefile.models import StickyShape
    from sipacr.rulefile.shape import Context

End = Literal["conversation", "used"]
_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Preset:
    create: tuple[Event, ...] = ()
    refresh: tuple[Event, ...] = ()
    end: tuple[End, ...] = ()
    ttl: float | None = None  # seconds; None = forever
    min_talk: float = 0.0
    ring: float | None = None
    follows: bool = False  # `refresh` has the `create` events, whatever is written there
    required: tuple[str, ...] = ()
    may_last: bool = True  # `ttl: forever` is allowed


_ACR: tuple[Event, ...] = ("in_answered", "out_attempt")
_VIPEX = ("ttl",)

PRESETS: dict[str, Preset] = {
    "acr-in": Preset(("in_answered",), ("in_answered", "conversation"), follows=True),
    "acr-out": Preset(("out_attempt",), ("out_attempt", "conversation"), follows=True),
    "acr": Preset(_ACR, (*_ACR, "conversation"), follows=True),
    "acr-24h": Preset(_ACR, (*_ACR, "conversation"), ttl=_DAY, follows=True),
    "ringostat-global": Preset(("out_attempt",), ("out_attempt",), ring=20.0, follows=True, required=("ttl", "during")),
    "ringostat-scheme": Preset((), (), ring=30.0, follows=True, required=("ttl", "create")),
    "vipex-1": Preset(("out_failed",), (), ("conversation",), min_talk=10.0, required=_VIPEX, may_last=False),
    "vipex-2": Preset(
        ("out_failed",), ("out_attempt",), ("conversation",), min_talk=10.0, required=_VIPEX, may_last=False
    ),
    "vipex-3": Preset(("out_failed", "out_answered"), ("out_attempt",), required=_VIPEX, may_last=False),
    "vipex-4": Preset(("out_failed", "out_answered"), ("out_attempt", "in_call"), required=_VIPEX, may_last=False),
    "missed-once": Preset(("out_failed",), (), ("used",), min_talk=10.0, required=("ttl",)),
}


def check_profile(node: Mapping, context: "Context") -> None:
    """What a preset demands beside it, and what it refuses."""
    name = node.get("preset")
    if name is None:
        if "create" not in node:
            context.lacks(node, 'a sticky profile needs "preset" or "create": what makes a binding')
        return
    preset = PRESETS.get(name) if isinstance(name, Text) else None
    if preset is None:
        return
    for key in preset.required:
        if key not in node:
            context.lacks(node, f'"{key}" is missing: preset {name} has no default for it')
    ttl = node.get("ttl")
    if ttl == "forever" and not preset.may_last:
        context.error(ttl, f"{name} is never for ever; write a time such as 3d")
    if name == "ringostat-scheme" and "create" in node:
        for event in _entries(node["create"]):
            if isinstance(event, Text) and event in ("out_attempt", "out_failed"):
                context.error(event, f'{name} learns from in_answered and out_answered, not from "{event}"')


def _entries(node: Node) -> Iterable[Node]:
    return node if isinstance(node, Sequence) else (node,)


def build_profile(name: str, shape: "StickyShape", learn_from: LearnFrom) -> StickyProfile:
    """The profile that a preset and what is written beside it make."""
    preset = PRESETS[shape.preset] if shape.preset else Preset()
    create = preset.create if shape.create is None else tuple(shape.create)
    refresh = preset.refresh
    if shape.refresh is not None:
        refresh = tuple(shape.refresh)
    elif shape.create is not None and preset.follows:
        refresh = (*create, *(event for event in preset.refresh if event not in preset.create))
    ttl = preset.ttl if shape.ttl is None else shape.ttl
    return StickyProfile(
        name=name,
        preset=shape.preset,
        create=frozenset(create),
        refresh=frozenset(refresh),
        end=frozenset(preset.end if shape.end is None else shape.end),
        ttl=None if ttl is None or math.isinf(ttl) else ttl,
        min_talk=preset.min_talk if shape.min_talk is None else shape.min_talk,
        keep=shape.keep,
        scope=shape.scope,
        during=tuple(map(str, shape.during)),
        ring=preset.ring if shape.ring is None else shape.ring,
        learn_from=learn_from,
    )
