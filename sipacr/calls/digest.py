"""Digest authentication as a client: what a challenge is answered with (RFC 3261 22, RFC 7616, RFC 8760)."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sipacr.calls.message import Headers, Message
from sipacr.routing.directory import Credentials

# Where a challenge stands -> where its answer goes.
_ANSWERED_BY = {"WWW-Authenticate": "Authorization", "Proxy-Authenticate": "Proxy-Authorization"}
_HASHES: dict[str, Callable[[bytes], "hashlib._Hash"]] = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}
_STRENGTH = ("MD5", "SHA-256")
_REMEMBERED = 1000  # nonces: more than requests in flight to one trunk
_PARAMETER = re.compile(r'([^\s,="]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))')
_QUOTED_PAIR = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Challenge:
    """What one WWW-Authenticate or Proxy-Authenticate demands, as far as we can do it."""

    realm: str
    nonce: str
    algorithm: str  # as it was written; "" if it was not: MD5
    hashed: str  # "MD5" or "SHA-256"
    session: bool  # one of the -sess algorithms
    qop: str  # "auth", "auth-int", or "": none was offered
    opaque: str | None
    stale: bool

    def strength(self) -> tuple[int, bool]:
        """More is better."""
        return _STRENGTH.index(self.hashed), bool(self.qop)


def strongest(challenges: Sequence[str]) -> Challenge | None:
    """The best of those that we can answer, the first of equals; None: there is none.

    `challenges` are the lines of one header: each has one (RFC 3261 7.3.1).
    RFC 8760 2.4 leaves the choice to local policy: ours is not to let a weak algorithm stand before a strong one.
    """
    known = [each for each in map(_read, challenges) if each is not None]
    return max(known, key=Challenge.strength, default=None)


def answer(
    challenges: Sequence[str], method: str, uri: str, body: bytes, credentials: Credentials, cnonce: str, nc: int = 1
) -> str | None:
    """The value of Authorization or Proxy-Authorization for a request, or None if we cannot answer any challenge.

    `uri` is the Request-URI, `nc` how many requests, this one included, bear the nonce.
    """
    challenge = strongest(challenges)
    return None if challenge is None else respond(challenge, method, uri, body, credentials, cnonce, nc)


def respond(
    challenge: Challenge, method: str, uri: str, body: bytes, credentials: Credentials, cnonce: str, nc: int
) -> str:
    """The answer to this challenge; arguments as of `answer` (RFC 7616 3.4)."""

    def hashed(*parts: str) -> str:
        return _HASHES[challenge.hashed](":".join(parts).encode("utf-8", "surrogateescape")).hexdigest()

    secret = hashed(credentials.user, challenge.realm, credentials.password)
    if challenge.session:
        secret = hashed(secret, challenge.nonce, cnonce)
    asked = [method, uri]
    if challenge.qop == "auth-int":
        asked.append(_HASHES[challenge.hashed](body).hexdigest())
    count = f"{nc:08x}"
    middle = [count, cnonce, challenge.qop] if challenge.qop else []
    parts = [
        f"username={_quoted(credentials.user)}",
        f"realm={_quoted(challenge.realm)}",
        f"nonce={_quoted(challenge.nonce)}",
        f"uri={_quoted(uri)}",
        f'response="{hashed(secret, challenge.nonce, *middle, hashed(*asked))}"',
    ]
    if challenge.algorithm:
        parts.append(f"algorithm={challenge.algorithm}")
    if challenge.qop:
        parts += [f"qop={challenge.qop}", f"nc={count}"]
    if challenge.qop or challenge.session:
        parts.append(f"cnonce={_quoted(cnonce)}")
    if challenge.opaque is not None:
        parts.append(f"opaque={_quoted(challenge.opaque)}")
    return "Digest " + ", ".join(parts)


def credentials_of(request: Message) -> Headers:
    """What the ACK to a 2xx bears: the same credentials as its INVITE (RFC 3261 22.1)."""
    return [each for each in request.headers if each[0] in ("Authorization", "Proxy-Authorization")]


class _Session:
    """A challenge and what we have done with it."""

    __slots__ = ("challenge", "cnonce", "count", "proved", "refused", "second")

    def __init__(self, challenge: Challenge, cnonce: str) -> None:
        self.challenge = challenge
        self.cnonce = cnonce  # one for all requests with this nonce: the -sess algorithms need that
        self.count = 0  # requests that bear this nonce
        self.proved = False  # a request that bore it was not challenged again
        self.refused = False  # one was
        self.second = False  # it replaced a nonce of which nothing was known but that it was stale


class Authentication:
    """The credentials for one trunk, and its last challenges: later requests need not be challenged first.

    The parameter `domain` is passed over: all that we send to a trunk is within one protection space.
    """

    def __init__(self, credentials: Credentials, token: Callable[[], str]) -> None:
        """`token` gives unforeseeable strings, for cnonces."""
        self._credentials = credentials
        self._token = token
        self._sessions: dict[str, _Session] = {}  # to be used next, by the header that answers
        self._known: dict[tuple[str, str], _Session] = {}  # the last ones, by header and nonce: requests bear them

    def authorization(self, method: str, uri: str, body: bytes) -> Headers:
        """The headers to put into a new request (`uri`: its Request-URI); none if nobody asked yet.

        Two if both a proxy and the server behind it asked. Not for ACK and CANCEL: see `credentials_of`.
        """
        headers = []
        for name, session in self._sessions.items():
            session.count += 1
            args = (method, uri, body, self._credentials, session.cnonce, session.count)
            headers.append((name, respond(session.challenge, *args)))
        return headers

    def challenged(self, request: Message, response: Message) -> bool:
        """Take in the final response to `request` as it was sent. True: it is a challenge, and the request is worth
        another try at once, with `authorization` anew and a higher CSeq.

        Tell every final response, a 2xx above all: it proves the nonce. Not worth a try: a challenge that we cannot
        answer, and one to credentials that were fresh: they are wrong. A nonce that had become stale has one more try,
        and so has one that was used before: not all servers say `stale`. No request bears a refused nonce again.
        """
        again = False
        for asks, name in _ANSWERED_BY.items():
            sent, count = _nonce_and_count(request.get(name))
            lines = response.lines(asks) if response.code in (401, 407) else []
            if lines:
                challenge = strongest(lines)
                if challenge is None or not self._take(name, sent, count, challenge):
                    return False
                again = True
            elif response.code != 403 and (session := self._known.get((name, sent))):
                session.proved = True  # nobody objected; a 403 may be an objection
        return again

    def _take(self, name: str, sent: str, count: int, challenge: Challenge) -> bool:
        """Whether the answer to this challenge may succeed where that to the nonce `sent` did not."""
        second = False
        if sent:
            refused = self._known.get((name, sent))
            if self._sessions.get(name) is refused:
                self._sessions.pop(name, None)  # what was refused is not sent again before somebody asks
            if refused is None:
                return False
            refused.refused = True
            offered = self._known.get((name, challenge.nonce))
            if offered is not None and offered.refused:
                return False
            if count == 1 and not refused.proved:
                if refused.second or not challenge.stale:
                    return False
                second = True
        key = (name, challenge.nonce)
        session = self._known.pop(key, None) or _Session(challenge, self._token())
        session.second |= second
        self._sessions[name] = self._known[key] = session
        if len(self._known) > _REMEMBERED:
            del self._known[next(each for each in self._known if self._known[each] is not self._sessions.get(each[0]))]
        return True


def _read(line: str) -> Challenge | None:
    """A challenge that we can answer, or None. Quotes may stand or be missing anywhere: servers differ."""
    scheme, _, rest = line.strip().partition(" ")
    if scheme.lower() != "digest":
        return None
    found: dict[str, str] = {}
    for name, quoted, plain in _PARAMETER.findall(rest):
        found.setdefault(name.lower(), _QUOTED_PAIR.sub(r"\1", quoted) or plain)
    algorithm = found.get("algorithm", "")
    hashed, session = (algorithm.upper() or "MD5").removesuffix("-SESS"), algorithm.upper().endswith("-SESS")
    offered = [each.strip().lower() for each in found.get("qop", "").split(",") if each.strip()]
    qop = next((each for each in ("auth", "auth-int") if each in offered), "")
    if hashed not in _HASHES or "nonce" not in found or "realm" not in found or (offered and not qop):
        return None
    stale = found.get("stale", "").lower() == "true"
    return Challenge(found["realm"], found["nonce"], algorithm, hashed, session, qop, found.get("opaque"), stale)


def _nonce_and_count(authorization: str | None) -> tuple[str, int]:
    """What a request of ours bore: "" if nothing; 1 if it does not say which with that nonce it was."""
    if authorization is None:
        return "", 1
    found = {
        name: _QUOTED_PAIR.sub(r"\1", quoted) or plain for name, quoted, plain in _PARAMETER.findall(authorization)
    }
    return found.get("nonce", ""), int(found.get("nc", "1"), 16)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
