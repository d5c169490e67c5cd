"""A strict reading of what a party of a flow heard from the router: each message by itself, and against its others.

The messages are those of SIPp's trace, so nothing of the router's own code is used to read them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_MESSAGE = re.compile(
    r"^-+ \S+ \S+\n(?:UDP|TCP|SCTP) message (sent|received) [(\[]\d+[)\] ]*(?:bytes)?\)? ?:\n\n", re.M
)
_CONTACTS = ("INVITE", "UPDATE", "REFER", "SUBSCRIBE", "NOTIFY")  # must have one (RFC 3261, 3311, 3515, 6665)
_OUR_METHODS = {"INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "PRACK", "UPDATE", "INFO", "MESSAGE", "REFER", "NOTIFY"}


@dataclass
class Heard:
    """One message of a trace."""

    sent: bool  # by the party; else by the router
    start: str
    headers: list[tuple[str, str]]
    head: str
    body: str

    def get(self, name: str) -> str:
        return next((value for each, value in self.headers if each == name), "")

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each == name]

    @property
    def code(self) -> int:
        return int(self.start.split()[1]) if self.start.startswith("SIP/2.0") else 0

    @property
    def method(self) -> str:
        """Of the request, or of the one that is answered."""
        return self.get("CSeq").split()[1]

    @property
    def seq(self) -> int:
        return int(self.get("CSeq").split()[0])

    @property
    def branch(self) -> str:
        found = re.search(r"branch=([^;,\s]+)", self.get("Via"))
        return found[1] if found else ""

    def tag(self, name: str) -> str:
        found = re.search(r";tag=([^;,\s]+)", self.get(name))
        return found[1] if found else ""


def read(trace: str) -> list[Heard]:
    """The messages of SIPp's trace, in order."""
    found = list(_MESSAGE.finditer(trace))
    messages = []
    for match, following in zip(found, [*found[1:], None], strict=True):
        text = trace[match.end() : following.start() if following else len(trace)].replace("\r\n", "\n")
        head, _, rest = text.partition("\n\n")
        start, *lines = head.split("\n")
        headers = [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        length = int(next((value for name, value in headers if name == "Content-Length"), "0"))
        body = rest.replace("\n", "\r\n").encode("utf-8", "surrogateescape")[:length].decode("utf-8", "surrogateescape")
        messages.append(Heard(match[1] == "sent", start, headers, head, body))
    return messages


def faults(traces: Mapping[str, list[Heard]], net: str, router: str, behind: str = "") -> Iterator[str]:
    """What is wrong in what the router sent to each party, but for the one that is `behind` a proxy.

    `net` begins all addresses, `router` is its own.
    """
    for party, messages in traces.items():
        if party == behind:
            continue
        heard = [message for message in messages if not message.sent]
        others = {name: trace for name, trace in traces.items() if name != party}
        told = [(f"{party}: {message.start}: ", fault) for message in heard for fault in _of_one(message, router)]
        told += [(f"{party}: ", fault) for fault in _of_all(messages)]
        told += [(f"{party}: ", fault) for fault in _of_topology(heard, messages, others, net, router)]
        yield from (where + fault for where, fault in told)


def _of_one(message: Heard, router: str) -> Iterator[str]:
    for name in ("Via", "From", "To", "Call-ID", "CSeq", "Content-Length"):
        if len(message.all(name)) != 1:
            yield f"{len(message.all(name))} {name}"
            return
    if len(message.body) != int(message.get("Content-Length")):
        yield "Content-Length is not that of the body"
    if bool(message.body) != bool(message.get("Content-Type")):
        yield "a body without Content-Type, or the other way round"
    for name in ("User-Agent", "Server", "Record-Route"):
        if message.get(name):
            yield f"{name} is told"
    names = [name for name, _ in message.headers if name not in ("Warning", "Reason", "Diversion", "Contact")]
    if len(names) != len(set(names)):
        yield "a header twice"
    if any(not value for name, value in message.headers):
        yield "an empty header"
    if not message.tag("From"):
        yield "no From tag"
    yield from _of_response(message, router) if message.code else _of_request(message, router)
    contact = message.get("Contact")
    if contact and message.code // 100 != 3 and f"{router}:5060" not in contact:
        yield f"its Contact is elsewhere: {contact}"
    unknown = set(re.findall(r"[A-Z]+", message.get("Allow"))) - _OUR_METHODS
    if unknown:
        yield f"Allow names what is not relayed: {unknown}"


def _of_request(message: Heard, router: str) -> Iterator[str]:
    method = message.start.split()[0]
    if method != message.method:
        yield "CSeq has another method"
    via = message.get("Via")
    if not re.match(rf"SIP/2\.0/(UDP|TCP) {re.escape(router)}:5060;branch=z9hG4bK\w+", via):
        yield f"Via is {via}"
    if ("UDP" in via) != ("rport" in via):
        yield "rport is for UDP"
    if not message.get("Max-Forwards").isdecimal():
        yield "no Max-Forwards"
    if method in _CONTACTS and not message.get("Contact"):
        yield "no Contact"
    if method in ("BYE", "CANCEL", "ACK", "PRACK", "MESSAGE", "INFO") and message.get("Contact") and method != "INFO":
        yield "a Contact that means nothing"
    if method in ("ACK", "CANCEL") and (message.get("Require") or message.get("Proxy-Require")):
        yield "Require in ACK or CANCEL (8.2.2.3)"
    if method == "INVITE" and not message.get("Allow"):
        yield "no Allow"
    if method == "PRACK" and not re.fullmatch(r"\d+ \d+ INVITE", message.get("RAck")):
        yield "no RAck"


def _of_response(message: Heard, router: str) -> Iterator[str]:
    code = message.code
    if (code > 100) != bool(message.tag("To")) and code > 100:
        yield "no To tag"
    if message.method == "INVITE" and 100 < code < 300 and not message.get("Contact"):
        yield "no Contact in what makes a dialog"
    if message.method == "INVITE" and code // 100 == 2 and not message.get("Allow"):
        yield "no Allow"
    if bool(message.get("RSeq")) != bool("100rel" in message.get("Require")):
        yield "RSeq without Require: 100rel, or the other way round"
    if code == 100 and (message.body or message.get("Contact")):
        yield "a 100 with a body or Contact"
    if code == 503 and not message.get("Retry-After"):
        yield "503 without Retry-After"
    if code == 422 and not message.get("Min-SE"):
        yield "422 without Min-SE"
    if code == 405 and not message.get("Allow"):
        yield "405 without Allow"


def _of_all(messages: list[Heard]) -> Iterator[str]:
    """Each answer belongs to a request, CSeqs rise, ACK and CANCEL are those of their INVITE."""
    asked: dict[tuple[str, str], Heard] = {}
    numbers: dict[tuple[bool, str], int] = {}
    invites: dict[tuple[str, int], Heard] = {}  # by Call-ID and CSeq number
    finals: dict[str, int] = {}
    rseq: dict[str, int] = {}
    for message in messages:
        key = (message.branch, message.method)
        if message.sent:
            if not message.code:
                asked[key] = message
            elif message.method == "INVITE" and message.code >= 200:
                finals.setdefault(message.branch, message.code)
            continue
        if message.code:
            yield from _answer(message, asked.get(key))
            if message.get("RSeq"):
                tag, number = message.tag("To"), int(message.get("RSeq"))
                if number not in (rseq.get(tag, number - 1), rseq.get(tag, number - 1) + 1):
                    yield "RSeq does not rise by one"
                rseq[tag] = number
        elif message.method in ("ACK", "CANCEL"):
            yield from _of_invite(message, invites.get((message.get("Call-ID"), message.seq)), finals)
        else:
            if message.method == "INVITE":
                invites[message.get("Call-ID"), message.seq] = message
            last = numbers.get((False, message.get("Call-ID")), 0)
            if message.seq < last or (message.seq == last and key not in asked):
                yield f"{message.method}: CSeq does not rise"
            numbers[False, message.get("Call-ID")] = message.seq
            asked.setdefault(key, message)


def _answer(message: Heard, request: Heard | None) -> Iterator[str]:
    if request is None:
        yield f"{message.start}: answers nothing"
        return
    for name in ("From", "Call-ID", "CSeq"):
        if message.get(name) != request.get(name):
            yield f"{message.start}: {name} is not that of the request"
    if not message.get("Via").startswith(request.get("Via").replace(";rport", "")):
        yield f"{message.start}: Via is not that of the request"
    if "rport" in request.get("Via") and not re.search(r";rport=\d+", message.get("Via")):
        yield f"{message.start}: rport is not filled in (RFC 3581)"
    to = request.get("To")
    if (message.get("To") != to) if request.tag("To") else not message.get("To").startswith(to):
        yield f"{message.start}: To is not that of the request"
    if message.code == 100 and message.get("Timestamp").split(" ")[0] != request.get("Timestamp"):
        yield "100 without the Timestamp of the request"


def _of_invite(message: Heard, invite: Heard | None, finals: Mapping[str, int]) -> Iterator[str]:
    if invite is None:
        yield f"{message.method} of no INVITE"
        return
    confirmed = message.method == "ACK" and finals.get(invite.branch, 200) < 300
    if confirmed == (message.branch == invite.branch):
        yield f"{message.method} has the wrong branch (17.1.1.3, 13.2.2.4)"
    if not confirmed and message.start.split()[1] != invite.start.split()[1]:
        yield f"{message.method} has another Request-URI than its INVITE"
    same = (
        ["From", "Call-ID"] + (["To"] if message.method == "CANCEL" else []) + ([] if confirmed else ["Via", "Route"])
    )
    for name in same:
        if message.get(name) != invite.get(name):
            yield f"{message.method}: {name} is not that of the INVITE"


def _of_topology(
    heard: list[Heard], own: list[Heard], others: Mapping[str, list[Heard]], net: str, router: str
) -> Iterator[str]:
    """Nothing of one side is seen at the other, and session descriptions pass byte by byte."""
    mine = {value for message in own if message.sent for value in _addresses(message, net)}
    mine |= {value for message in heard for value in re.findall(re.escape(net) + r"\d+", message.start)}
    secrets: dict[str, str] = {}
    for name, trace in others.items():
        for message in trace:
            secrets[message.get("Call-ID")] = "Call-ID"
            secrets[message.branch] = "branch"
            if message.sent:
                secrets |= {f"secret-{name}": "host or software", f"contact-{name}": "Contact"}
                secrets |= {tag: "tag" for tag in (message.tag("From"), message.tag("To")) if tag}
                secrets |= dict.fromkeys(_addresses(message, net) - mine - {router}, "address")
    bodies = {message.body for trace in others.values() for message in trace if message.sent}
    for message in heard:
        for secret, what in secrets.items():
            body = "" if "sdp" in message.get("Content-Type") else message.body  # media is direct
            if secret and re.search(re.escape(secret) + r"(?![0-9])", message.head + body):
                yield f"{message.start}: tells the {what} of the other side: {secret}"
        kind = message.get("Content-Type")
        if "sdp" in kind and message.body not in bodies and "m=audio 0 " not in message.body:
            yield f"{message.start}: another session description than was sent"


def _addresses(message: Heard, net: str) -> set[str]:
    """What its Via and Contact name."""
    return set(re.findall(re.escape(net) + r"\d+", message.get("Contact") + message.get("Via")))
