"""Warnings about sets that load: rules that can never match, masks that overlap, keys that a redirect drops.

Only what is provable is said. Rules are filed by what they ask, so that thousands of them are compared in no time.
"""

from collections.abc import Iterable, Iterator, Sequence

from sipacr.routing.conditions import Condition, MaskIs, NumberIs, PeerIs
from sipacr.routing.directory import Directory, Peer
from sipacr.routing.masks import Mask
from sipacr.rulefile.build import Builder, Leaf
from sipacr.rulefile.implies import conjuncts, contradiction, filed_under, implied_by_all, questions
from sipacr.rulefile.models import lost_after_302
from sipacr.rulefile.yamltree import Mapping, Node
from sipacr.rulefile.yamltree import Sequence as Listed

_PERSONS = ("agent", "mobile", "group")
_MOST_COMPARISONS = 20_000  # of masks under one condition; 0.1 s, and beyond it nothing more is said

_Owner = tuple[tuple[str, str], ...]
_Filed = dict[object, list[tuple[Leaf, tuple[Condition, ...]]]]


def lint(builder: Builder, directory: Directory) -> None:
    """Reports to the contexts of the leaves' files."""
    _overlapping_masks(_never_matching(builder.rules))
    _overlapping_masks(_never_matching([leaf for leaf in builder.outgoing if not _never_outgoing(leaf, directory)]))
    peers = list(directory.peers.values())
    for leaf in builder.rules:
        _redirected(leaf, peers)
    for leaf in builder.outgoing:
        _redirected(leaf, [peer for peer in peers if peer.role == "pbx"])
    _mobiles(builder, directory)


def _never_outgoing(leaf: Leaf, directory: Directory) -> bool:
    """Whether calls that this rule asks for are never outgoing ones, with a warning."""
    pbxes = set(directory.pbxes)
    why: str | None = None
    for part in conjuncts(leaf.rule.when):
        if isinstance(part, PeerIs) and not pbxes & set(part.names):
            why = "outgoing calls come from a peer with role pbx"
        elif isinstance(part, NumberIs) and part.side == "dialled":
            numbers = part.e164 | part.raw
            if numbers <= directory.own.keys():
                why = "a call to one of our own numbers is an incoming one, whoever makes it"
            elif numbers <= directory.emergency:
                why = "calls to emergency numbers skip all rules"
    if why is not None:
        leaf.context.warn(leaf.condition, f'"{leaf.rule.name}" can never match: {why}')
    return why is not None


def _never_matching(leaves: Sequence[Leaf]) -> list[Leaf]:
    """Warns of a rule whose own condition contradicts itself, or all of whose calls an earlier rule takes; the others
    are returned."""
    filed: _Filed = {}
    living: list[Leaf] = []
    for leaf in leaves:
        parts = conjuncts(leaf.rule.when)
        against = contradiction(parts)
        earlier = None if against else _taken_by(parts, filed)
        if earlier is not None:
            takes = "every call" if earlier.rule.when is None else "all its calls"
            against = f'"{earlier.rule.name}" ({earlier.rule.position}) comes first and takes {takes}'
        if against is not None:
            leaf.context.warn(leaf.condition, f'"{leaf.rule.name}" can never match: {against}')
            continue
        living.append(leaf)
        if leaf.rule.else_ != "next":  # such a rule shadows nothing
            choices = filed_under(parts)
            for key in min(choices, key=lambda keys: sum(len(filed.get(key, ())) for key in keys), default=()):
                filed.setdefault(key, []).append((leaf, parts))
    return living


def _taken_by(parts: tuple[Condition, ...], filed: _Filed) -> Leaf | None:
    """The first earlier rule that is found whose condition holds whenever these do."""
    for key in questions(parts):
        for leaf, theirs in filed.get(key, ()):
            if implied_by_all(theirs, parts):
                return leaf
    return None


def _overlapping_masks(leaves: Sequence[Leaf]) -> None:
    """Two rules that differ in a mask and in the person they send to: where both masks match, only the order decides,
    which is easily overlooked."""
    earlier: dict[object, _Masks] = {}
    for leaf in leaves:
        parts = conjuncts(leaf.rule.when)
        masks = [part for part in parts if isinstance(part, MaskIs)]
        owner = _owner(leaf)
        if len(masks) != 1 or owner is None or leaf.rule.else_ == "next":
            continue
        known = earlier.setdefault((masks[0].side, frozenset(parts) - {masks[0]}), _Masks())
        for mask in masks[0].masks:
            found = known.overlapping(mask, owner)
            if found is not None:
                other, theirs = found
                said = f'the mask "{mask}" overlaps "{theirs}" of "{other.rule.name}" ({other.rule.position})'
                leaf.context.warn(leaf.condition, f"{said}, which comes first and sends to somebody else")
        for mask in masks[0].masks:
            known.add(mask, leaf, owner)


def _owner(leaf: Leaf) -> _Owner | None:
    """Whom the rule sends to, if the first is a person."""
    steps = leaf.rule.steps
    if not steps or steps[0].kind not in _PERSONS:
        return None
    return tuple((step.kind, step.name) for step in steps)


class _Masks:
    """Masks filed by what they begin with, to find those that may match one number with another mask."""

    def __init__(self) -> None:
        self._closed: dict[str, list[tuple[Leaf, Mask, _Owner]]] = {}  # begin with this text
        self._below: dict[str, list[tuple[Leaf, Mask, _Owner]]] = {}  # begin with this text and go on
        self._open: list[tuple[Leaf, Mask, _Owner]] = []  # begin with anything
        self._all: list[tuple[Leaf, Mask, _Owner]] = []
        self._left = _MOST_COMPARISONS

    def add(self, mask: Mask, leaf: Leaf, owner: _Owner) -> None:
        entry = (leaf, mask, owner)
        self._all.append(entry)
        if not mask.prefix:
            self._open.append(entry)
            return
        self._closed.setdefault(mask.prefix, []).append(entry)
        for length in range(len(mask.prefix)):
            self._below.setdefault(mask.prefix[:length], []).append(entry)

    def overlapping(self, mask: Mask, owner: _Owner) -> tuple[Leaf, Mask] | None:
        """An earlier mask of somebody else that overlaps this one."""
        for leaf, other, theirs in self._candidates(mask):
            self._left -= 1
            if self._left < 0:
                return None
            if theirs != owner and mask.overlaps(other):
                return leaf, other
        return None

    def _candidates(self, mask: Mask) -> Iterator[tuple[Leaf, Mask, _Owner]]:
        if not mask.prefix:
            yield from self._all
            return
        for length in range(1, len(mask.prefix) + 1):
            yield from self._closed.get(mask.prefix[:length], ())
        yield from self._below.get(mask.prefix, ())
        yield from self._open


def _redirected(leaf: Leaf, peers: Iterable[Peer]) -> None:
    """What is lost, or becomes something else, because of how a peer's calls are answered."""
    asking = [peer for peer in peers if _may_ask(leaf, peer)]
    node = leaf.shape.node
    action = leaf.rule.action
    if action == "redirect":
        relayed = [peer.name for peer in asking if peer.mode == "relay"]
        if relayed:
            said = f"calls from {_names(relayed)} are relayed (mode: relay), whatever this rule says"
            leaf.context.warn(node.key("redirect"), said)
    redirecting = [peer.name for peer in asking if peer.mode == "redirect"]
    if action != "route" or not redirecting:
        return
    said = f"is lost when the call is redirected, as calls from {_names(redirecting)} are (mode: redirect)"
    for lost, what in lost_after_302(node, "route"):
        leaf.context.warn(lost, f'"{what}" {said}')


def _names(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _may_ask(leaf: Leaf, peer: Peer) -> bool:
    """Whether a call of this peer can reach the rule, as far as its condition names peers."""
    return all(peer.name in part.names for part in conjuncts(leaf.rule.when) if isinstance(part, PeerIs))


def _mobiles(builder: Builder, directory: Directory) -> None:
    """A mobile has no way out if there is no `outgoing_via`; a redirect sends it back to the trunk that asked."""
    if directory.outgoing_via or not any(
        peer.mode == "relay" and peer.role == "trunk" for peer in directory.peers.values()
    ):
        return
    for leaf in builder.rules:
        for step, node in zip(leaf.rule.steps, _steps(leaf), strict=False):
            if step.kind == "mobile" and isinstance(node, Mapping):
                leaf.context.warn(
                    node.key("mobile"), "a mobile is reached by outgoing_via, which sipacr.yaml does not name"
                )


def _steps(leaf: Leaf) -> list[Node]:
    node = leaf.shape.node.get(leaf.rule.action)
    return list(node) if isinstance(node, Listed) else []
