"""Who is no peer: counted by address, banned for a time, given nothing away. Their bytes reach no parser.

Source addresses of datagrams can be forged, so a ban means no more than silence here; an address of a peer is never
banned. All tables are bounded. Times are unix seconds: bans outlive the process.
"""

import ipaddress
import json
import logging
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from sipacr.routing.directory import Treatment
from sipacr.sip.answer import Reply, stamp_via
from sipacr.sip.limits import Bucket

log = logging.getLogger("sipacr.strangers")

_SEEN = 16_384  # addresses that are counted; beyond it those that were heard first are forgotten
_BANS = 16_384  # beyond it the one that ends first is lifted
_LINES = 5.0  # lines of the log a second: who forges addresses must not fill the disk

_REQUEST = re.compile(rb"(?!ACK |SIP/)[A-Z]{3,16} sips?:[^\r\n]{1,400} SIP/2\.0\r\n").match
_HEADERS = re.compile(
    rb"\r\n(?:(via|v)|(to|t)|(?:from|f)|(?:call-id|i)|cseq)[ \t]*:([^\r\n]{1,400})(?=\r\n)", re.IGNORECASE
).finditer


class Ban(NamedTuple):
    """One address that gets no answer."""

    address: str
    until: float
    why: str


class Strangers:
    """All that is known of them."""

    def __init__(self, is_peers: Callable[[str], bool], clock: Callable[[], float]) -> None:
        """`is_peers`: whether some peer sends from this address, from whatever port."""
        self._is_peers = is_peers
        self._clock = clock
        self._treatment = Treatment()
        self._seen: dict[str, tuple[float, int]] = {}  # address -> when its time began, how often since
        self._bans: dict[str, Ban] = {}
        self._lines = Bucket(_LINES, clock())
        self.requests = 0
        self.banned = 0
        self.changed = False  # since the bans were written

    def take(self, treatment: Treatment) -> None:
        """The settings from now on; peers may be others too, so bans of theirs are lifted."""
        self._treatment = treatment
        for address in [address for address in self._bans if self._is_peers(address)]:
            del self._bans[address]
            self.changed = True

    def is_banned(self, address: str) -> bool:
        """Whether this address is banned now."""
        ban = self._bans.get(address)
        if ban is None:
            return False
        if ban.until > self._clock():
            return True
        del self._bans[address]
        self.changed = True
        return False

    def came(self, address: str, port: int, data: bytes, transport: str = "udp") -> Reply | None:
        """Something came from there that is no peer's: count it, and answer if all are answered."""
        self.requests += 1
        if self.is_banned(address):
            return None
        now, treatment = self._clock(), self._treatment
        began, count = self._seen.get(address, (now, 0))
        if now - began > treatment.within:
            began, count = now, 0
        count += 1
        if count >= treatment.after > 0 and not self._is_peers(address):
            self._seen.pop(address, None)
            self.ban(address, treatment.ban, f"{count} requests of no peer ({transport})")
            return None
        if address not in self._seen and len(self._seen) >= _SEEN:
            del self._seen[next(iter(self._seen))]
        self._seen[address] = (began, count)
        return forbidden(data, address.encode(), port) if treatment.refuse else None

    def ban(self, address: str, seconds: float, why: str) -> bool:
        """Ban it from now on. False: it is a peer's."""
        if self._is_peers(address):
            return False
        if len(self._bans) >= _BANS and address not in self._bans:
            del self._bans[min(self._bans.values(), key=lambda ban: ban.until).address]
        now = self._clock()
        self._bans[address] = Ban(address, now + seconds, why)
        self.banned += 1
        self.changed = True
        if self._lines.take(now):
            log.warning("banned %s for %.0f s: %s", address, seconds, why)  # fail2ban reads it: docs/operating.md
        return True

    def lift(self, address: str) -> bool:
        """Ban it no more. False: it was not banned."""
        self._seen.pop(address, None)
        self.changed |= address in self._bans
        return self._bans.pop(address, None) is not None

    def bans(self) -> list[Ban]:
        """All that hold now, the one that ends last first."""
        now = self._clock()
        return sorted((ban for ban in self._bans.values() if ban.until > now), key=lambda ban: -ban.until)

    def remember(self, bans: Iterable[Ban]) -> None:
        """Bans of the process before."""
        now = self._clock()
        for ban in bans:
            if ban.until > now and len(self._bans) < _BANS and not self._is_peers(ban.address):
                self._bans[ban.address] = ban


def forbidden(data: bytes, host: bytes, port: int) -> Reply | None:
    """The 403 that every stranger gets, whatever it asks for; None for what is no request with a way back."""
    if _REQUEST(data) is None:
        return None
    end = data.find(b"\r\n\r\n")
    vias: list[bytes] = []
    others: list[bytes] = []
    for found in _HEADERS(data, 0, end + 2 if end > 0 else len(data)):
        if found[1]:
            value = found[3]
            if not vias:
                value, port = stamp_via(value, host, port)
            vias.append(b"Via:%b\r\n" % value)
        elif found[2]:
            tag = b"" if b"tag=" in found[3].lower() else b";tag=%x" % (hash(data) & 0xFFFFFFFFFFFF)
            others.append(b"%b%b\r\n" % (found[0][2:], tag))
        else:
            others.append(found[0][2:] + b"\r\n")
    if not vias or len(others) != 4:
        return None
    return Reply(b"".join((b"SIP/2.0 403 Forbidden\r\n", *vias, *others, b"Content-Length: 0\r\n\r\n")), port)


def read_bans(path: Path) -> list[Ban]:
    """What `write_bans` has written; nothing where that cannot be read: bans are no reason not to start."""
    try:
        found = [Ban(str(ban[0]), float(ban[1]), str(ban[2])) for ban in json.loads(path.read_text("utf-8"))]
        return [ban for ban in found if is_address(ban.address)]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, LookupError) as error:
        log.error("the bans of before cannot be read from %s: %s", path, error)
        return []


def write_bans(path: Path, bans: Iterable[Ban]) -> None:
    """Replace the file as a whole. A failure is logged."""
    fresh = path.with_name(path.name + ".new")
    try:
        fresh.write_text(json.dumps(list(bans)), "utf-8")
        os.replace(fresh, path)
    except OSError as error:
        log.error("the bans cannot be written to %s: %s", path, error)


def is_address(text: str) -> bool:
    """Whether this is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
