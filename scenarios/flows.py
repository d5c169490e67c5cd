"""Calls through the relay, told as flows: `relay/*.flow` -> a SIPp scenario for each party -> all of them at once.

By hand, beside a router that runs with relay/sipacr.yaml: `python scenarios/flows.py scenarios/relay/basic.flow`. It
leaves the SIPp scenarios, and all messages as each party saw them, in a folder that it names.

A flow begins with what it proves. Then settings (`dial: NUMBER`, `B: PLACE [tcp]`, `options: A -nr`, `nobody: C`) and
steps, each of one party; the parties do not wait for each other, so the order between two of them is for the reader:

    A > INVITE sdp          A sends, here with a session description (a name of BODIES)
        + Reason: SIP       ... with this header
    B < INVITE              B receives
        ~ Subject: .*hello  ... and finds this expression
        !~ Server:          ... and does not find this one
    A <? 100                may come
    A pause 200             milliseconds
    A silence 500           nothing comes for so long

Words after a sent message: the name of a body; `to=METHOD` (a response; default: to the last request); `tag=TEXT` (To
tag); `uri=URI`, `cseq=NUMBER`, `hops=NUMBER` (a request); `again` (the same request once more); `retrans` (repeated by
SIPp until answered). After one that is received: `of=METHOD` (a response; default: to the last request sent). After
both: `lost=PERCENT`.
"""

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

NET = "127.0.0."
PORT = 5060
ROUTER = "10"  # the last part of its address; the same of all others:
PLACES = {
    "trunk": "1", "pbx": "2", "second": "3", "third": "4", "dead": "6", "refused": "7", "silent": "8",
    "strict": "21", "limited": "22", "timed": "23", "redirecting": "25", "untrusted": "26",
    "carrier": "31", "spare": "32", "digest": "33",
}  # fmt: skip
DEFAULT = {"A": "trunk", "B": "pbx", "C": "second", "D": "third"}
_SECONDS = 20  # that a flow may take

_AUDIO = """v=0
o={0} 2890844526 {2} IN IP4 192.0.2.{1}
s=-
c=IN IP4 192.0.2.{1}
t=0 0
m=audio 4{1:04} RTP/AVP 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a={3}"""
BODIES = {
    "sdp": ("application/sdp", lambda party: _AUDIO.format(party, ord(party), 1, "sendrecv")),
    "hold": ("application/sdp", lambda party: _AUDIO.format(party, ord(party), 2, "sendonly")),
    "held": ("application/sdp", lambda party: _AUDIO.format(party, ord(party), 2, "recvonly")),
    "unhold": ("application/sdp", lambda party: _AUDIO.format(party, ord(party), 3, "sendrecv")),
    "dtmf": ("application/dtmf-relay", lambda party: "Signal=5\r\nDuration=160"),
    "text": ("text/plain;charset=UTF-8", lambda party: f"Hello from {party}"),
    "trying": ("message/sipfrag;version=2.0", lambda party: "SIP/2.0 100 Trying"),
    "done": ("message/sipfrag;version=2.0", lambda party: f"SIP/2.0 200 OK\r\nServer: secret-{party}"),
}
REASONS = {
    100: "Trying", 180: "Ringing", 181: "Call Is Being Forwarded", 182: "Queued", 183: "Session Progress",
    199: "Early Dialog Terminated", 200: "OK", 202: "Accepted", 302: "Moved Temporarily", 400: "Bad Request",
    401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 407: "Proxy Authentication Required",
    408: "Request Timeout", 420: "Bad Extension", 422: "Session Interval Too Small", 480: "Temporarily Unavailable",
    481: "Call Does Not Exist", 482: "Loop Detected", 486: "Busy Here", 487: "Request Terminated",
    488: "Not Acceptable Here",
    491: "Request Pending", 500: "Server Internal Error", 503: "Service Unavailable", 600: "Busy Everywhere",
    603: "Decline", 606: "Not Acceptable",
}  # fmt: skip
_ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, MESSAGE, REFER, NOTIFY, PUBLISH"
_CONTACTS = ("INVITE", "UPDATE", "REFER", "SUBSCRIBE", "NOTIFY")


@dataclass
class Step:
    """One line of one party."""

    party: str
    kind: str  # > < <? pause silence
    what: str  # a method, a code, or milliseconds
    words: list[str]
    headers: list[str] = field(default_factory=list)
    found: list[tuple[str, bool]] = field(default_factory=list)  # expressions, and whether they are to be there

    def word(self, name: str) -> str | None:
        return next((word.partition("=")[2] for word in self.words if word.startswith(name + "=")), None)


@dataclass
class Flow:
    """What a file tells."""

    name: str
    title: str
    settings: dict[str, str]
    steps: list[Step]
    places: dict[str, tuple[str, str]]  # party -> place, transport
    options: dict[str, list[str]]
    silent: list[str]  # parties that must hear nothing

    @property
    def parties(self) -> list[str]:
        return sorted({step.party for step in self.steps})


def read(path: Path, net: str = NET) -> Flow:
    """Read a flow; its addresses are in `net`. Raises ValueError that names the line that cannot be read."""
    title, settings, steps = "", [], []
    for number, line in enumerate(path.read_text().replace(NET, net).splitlines(), 1):
        text = line.strip()
        if text.startswith("#"):
            title = f"{title} {text[1:].strip()}".strip()
        elif not text:
            continue
        elif found := re.fullmatch(r"(\w+): (.+)", text):
            settings.append((found[1], found[2]))
        elif found := re.fullmatch(r"([A-D]) (>|<\??|pause|silence) (\w+)(.*)", text):
            steps.append(Step(found[1], found[2], found[3], found[4].split()))
        elif found := re.fullmatch(r"(\+|~|!~) (.+)", text):
            if found[1] == "+":
                steps[-1].headers.append(found[2])
            else:
                steps[-1].found.append((found[2], found[1] == "~"))
        else:
            raise ValueError(f"{path}:{number}: {text}")
    places = {party: (place, "udp") for party, place in DEFAULT.items()}
    options: dict[str, list[str]] = {}
    silent: list[str] = []
    for name, value in settings:
        words = value.split()
        if name in DEFAULT:
            places[name] = (words[0], words[1] if len(words) > 1 else "udp")
        elif name == "options":
            options.setdefault(words[0], []).extend(words[1:])
        elif name == "nobody":
            silent += words
    return Flow(path.stem, title, dict(settings), steps, places, options, silent)


def _quoted(text: str) -> str:
    """An attribute's value. SIPp knows double quotes only."""
    return '"' + escape(text, {'"': "&quot;"}) + '"'


class Script:
    """The SIPp scenario of one party."""

    def __init__(self, flow: Flow, party: str) -> None:
        self._party = party
        self._name = flow.places[party][0]
        self._out: list[str] = []
        self._variables: set[str] = set()
        self._seq = 0
        self._sent: list[tuple[str, int, str]] = []  # method, CSeq number, branch
        self._heard: list[str] = []  # methods of requests
        self._confirmed = False
        self._cancelled = False  # the answer to our CANCEL is still to come
        self._final = 0  # of our last INVITE
        self._initial = True  # the last INVITE that came begins a dialog
        self._count = 0
        self._dial = flow.settings.get("dial", "")
        self._routed = flow.settings.get("proxy") == party  # it is behind a proxy, which has a second Via and a route
        steps = [step for step in flow.steps if step.party == party]
        self._calls_out = next(step.kind for step in steps if step.kind != "pause") == ">"
        if self._calls_out:
            caller = flow.settings.get("from", f'"Secret {party}" <sip:+48601000111@secret-{party}.example>')
            self._assign("local", f"{caller};tag={party}[pid]-[call_number]")
            self._assign("remote", f"<sip:{self._dial}@[remote_ip]:[remote_port]>")
            self._assign("target", f"sip:{self._dial}@[remote_ip]:[remote_port]")
        for step in steps:
            self._step(step)

    def text(self, title: str) -> str:
        names = ",".join(sorted(self._variables))
        return "\n".join([
            '<?xml version="1.0" encoding="UTF-8"?>', f"<scenario name={_quoted(title[:60])}>", *self._out,
            f'  <Reference variables="{names}"/>', "</scenario>", "",
        ])  # fmt: skip

    def _assign(self, name: str, value: str) -> None:
        self._variables.add(name)
        self._out.append(f'  <nop><action><assignstr assign_to="{name}" value={_quoted(value)}/></action></nop>')

    def _step(self, step: Step) -> None:
        if step.kind == "pause":
            self._out.append(f'  <pause milliseconds="{step.what}"/>')
        elif step.kind == "silence":
            self._count += 1
            label = f"l{self._count}"
            self._out.append(f'  <recv response="999" timeout="{step.what}" ontimeout="{label}"/>')
            self._out += [f'  <label id="{label}"/>', "  <nop/>"]
        elif step.kind == ">":
            lines = self._response(step) if step.what.isdecimal() else self._request(step)
            retrans = ' retrans="500"' if "retrans" in step.words else ""
            retrans += f' lost="{lost}"' if (lost := step.word("lost")) else ""
            self._out += [f"  <send{retrans}><![CDATA[", *(f"    {line}" for line in lines), "  ]]></send>"]
        else:
            self._receive(step)

    # What is sent

    def _tail(self, step: Step) -> list[str]:
        name = next((word for word in step.words if word in BODIES), None)
        if name is None:
            return ["Content-Length: 0", "", ""]
        kind, make = BODIES[name]
        return [f"Content-Type: {kind}", "Content-Length: [len]", "", *make(self._party).splitlines(), ""]

    @property
    def _contact(self) -> str:
        return f"Contact: <sip:contact-{self._party}@[local_ip]:[local_port];transport=[transport]>"

    def _request(self, step: Step) -> list[str]:
        method = step.what
        invite = next((each for each in reversed(self._sent) if each[0] == "INVITE"), None)
        if "again" in step.words:
            _, seq, branch = next(each for each in reversed(self._sent) if each[0] == method)
        elif method in ("ACK", "CANCEL") and invite is not None:
            _, seq, branch = invite
            branch += "a" if method == "ACK" and self._final < 300 else ""
            self._cancelled = method == "CANCEL"
        else:
            seq = self._seq = int(step.word("cseq") or self._seq + 1)
            branch = f"z9hG4bK-{self._party}[pid]-[call_number]-{seq}{method}"
        if method not in ("ACK", "CANCEL"):
            self._sent.append((method, seq, branch))
        remote, target = "[$remote]", step.word("uri") or "[$target]"
        if method == "INVITE":
            self._final = 0
        if not self._confirmed and method in ("CANCEL", "ACK"):
            target = f"sip:{self._dial}@[remote_ip]:[remote_port]"
            remote = f"<sip:{self._dial}@[remote_ip]:[remote_port]>" if method == "CANCEL" else remote
        rport = ";rport" if self._party == "A" else ""
        lines = [
            f"{method} {target} SIP/2.0", f"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch={branch}{rport}",
            "From: [$local]", f"To: {remote}", "Call-ID: [call_id]", f"CSeq: {seq} {method}",
            f"Max-Forwards: {step.word('hops') or 70}",
        ]  # fmt: skip
        lines += ["[routes]"] if remote == "[$remote]" and self._routed else []
        if method in _CONTACTS:
            lines += [self._contact, f"Allow: {_ALLOW}"]
        if method not in ("ACK", "CANCEL"):
            lines.append(f"User-Agent: secret-{self._party}/1.0")
        if method == "PRACK":
            lines.append(f"RAck: [$rseq] {invite[1] if invite else 1} INVITE")
        return [*lines, *step.headers, *self._tail(step)]

    def _response(self, step: Step) -> list[str]:
        code = int(step.what)
        method = step.word("to") or self._heard[-1]
        known = method not in ("INVITE", "CANCEL") or not self._initial
        tag = "" if known or code == 100 else f";tag={step.word('tag') or self._party + '[pid]-[call_number]'}"
        lines = [
            f"SIP/2.0 {code} {REASONS[code]}", f"Via:[$v_{method}]", f"From:[$f_{method}]", f"To:[$t_{method}]{tag}",
            "Call-ID: [call_id]", f"CSeq:[$c_{method}]", f"Server: secret-{self._party}/1.0",
        ]  # fmt: skip
        if method in _CONTACTS and 100 < code < 300:
            lines += [self._contact, f"Allow: {_ALLOW}"]
        if method == "INVITE" and 200 <= code < 300:
            self._confirmed = True
        if self._routed and method != "CANCEL":
            lines.insert(2, f"Via:[$w_{method}]")
        if self._routed and self._initial and method == "INVITE" and 100 < code < 300:
            lines.insert(3, "Record-Route:[$routes]")
        return [*lines, *step.headers, *self._tail(step)]

    # What is received

    def _take(self, header: str, name: str, expression: str = ".*", to: str = "") -> str:
        self._variables.update({name} | {each for each in [to.rstrip(",")] if each})
        return (
            f'    <ereg regexp={_quoted(expression)} search_in="hdr" header="{header}:" check_it="true" '
            f'assign_to="{to}{name}"/>'
        )

    def _take_contact(self) -> str:
        return self._take("Contact", "target", "<(sip:[^>]+)>", "all,")

    def _receive(self, step: Step) -> None:
        actions = [self._look(expression, there) for expression, there in step.found]
        more = ' optional="true"' if step.kind == "<?" else ""
        more += f' lost="{lost}"' if (lost := step.word("lost")) else ""
        if step.what.isdecimal():
            code = int(step.what)
            method = step.word("of") or ("CANCEL" if self._cancelled and code == 200 else self._sent[-1][0])
            self._cancelled = self._cancelled and method != "CANCEL"
            routes = ' rrs="true"' if self._routed and method == "INVITE" and code // 100 == 2 else ""
            head = f'  <recv response="{code}"{more}{routes}>'
            if method == "INVITE" and code > 100:
                actions.append(self._take("To", "remote"))
                if code < 300 and code != 199:
                    actions.append(self._take_contact())
                self._confirmed = self._confirmed or 200 <= code < 300
                self._final = code
            if any(expression.startswith("RSeq") for expression, _ in step.found):
                actions.append(self._take("RSeq", "rseq", "[0-9]+"))
        else:
            method = step.what
            routes = ' rrs="true"' if self._routed and method == "INVITE" and not self._confirmed else ""
            head = f'  <recv request="{method}"{more}{routes}>'
            if method != "ACK":
                self._heard.append(method)
                for header, letter in (("Via", "v"), ("From", "f"), ("To", "t"), ("CSeq", "c")):
                    actions.append(self._take(header, f"{letter}_{method}"))
                if self._routed and method != "CANCEL":
                    second = self._take("Via", f"w_{method}")
                    actions.append(second.replace(" check_it", ' occurrence="2" check_it'))
                    actions += (
                        [self._take("Record-Route", "routes")] if method == "INVITE" and not self._confirmed else []
                    )
            if method in ("INVITE", "UPDATE"):
                actions.append(self._take_contact())
            if method == "INVITE":
                self._initial = not self._confirmed
            if method == "INVITE" and not self._calls_out and not self._confirmed:
                actions.append(self._take("From", "remote"))
                own = f"[$t_INVITE];tag={self._party}[pid]-[call_number]"
                self._variables.add("local")
                actions.append(f'    <assignstr assign_to="local" value={_quoted(own)}/>')
        if step.kind == "<?":  # nothing may be demanded of what need not come
            actions = [action.replace(' check_it="true"', "") for action in actions]
        self._out += [head, "    <action>", *actions, "    </action>", "  </recv>"] if actions else [head[:-1] + "/>"]

    def _look(self, expression: str, there: bool) -> str:
        self._count += 1
        name = f"look{self._count}"
        self._variables.add(name)
        check = "check_it" if there else "check_it_inverse"
        expression = expression.replace(r"\d", "[0-9]")
        return f'    <ereg regexp={_quoted(expression)} search_in="msg" {check}="true" assign_to="{name}"/>'


# A run


def play(flow: Flow, folder: Path, net: str = NET) -> None:
    """Run all parties against the router at `net`; raises AssertionError with what SIPp says of the one that failed.

    `folder` gets A.xml and A.log (all messages) of each party.
    """
    parties = flow.parties
    running = {party: _start(flow, party, folder, net) for party in [*flow.silent, *reversed(parties)]}
    until = time.monotonic() + _SECONDS
    try:
        while not _is_over([running[party] for party in parties]) and time.monotonic() < until:
            time.sleep(0.01)
        codes = {party: running[party].poll() for party in parties}
        failed = [party for party in parties if codes[party]] or [party for party in parties if codes[party] is None]
        heard = [party for party in flow.silent if log(folder, party).strip()]
        said = "\n".join(_said(folder, party) for party in failed or heard)
        assert not said, said
    finally:
        for process in running.values():
            if process.poll() is None:
                process.kill()
                process.wait()


def _is_over(processes: Sequence["subprocess.Popen[bytes]"]) -> bool:
    """Whether all have ended, or one has failed and those that wait for it had a moment."""
    codes = [process.poll() for process in processes]
    if None in codes and any(codes):
        time.sleep(0.5)
        return True
    return None not in codes


def _start(flow: Flow, party: str, folder: Path, net: str) -> "subprocess.Popen[bytes]":
    place, transport = flow.places[party]
    address = net + PLACES[place]
    steps = [step for step in flow.steps if step.party == party]
    scenario = folder / f"{party}.xml"
    if steps:
        scenario.write_text(Script(flow, party).text(flow.title))
    else:
        scenario.write_text('<scenario name="nobody"><recv request="INVITE"/></scenario>')
    command = [
        "sipp", "-sf", scenario.name, "-i", address, "-p", str(PORT), "-t", "t1" if transport == "tcp" else "u1",
        "-m", "1", "-nostdin", "-timeout", str(_SECONDS), "-trace_err", "-error_file", f"{party}.errors",
        "-trace_msg", "-message_file", f"{party}.log", *flow.options.get(party, ()), f"{net}{ROUTER}:{PORT}",
    ]  # fmt: skip
    with (folder / f"{party}.out").open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)
    if not steps or steps[0].kind == "<":
        wait_for(address, transport, process)
    return process


def wait_for(address: str, transport: str, process: "subprocess.Popen[bytes]") -> None:
    """Wait until something is bound to our port of this address, the process has ended, or 5 s have passed."""
    until = time.monotonic() + 5
    while not _bound(address, transport) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.005)


def _bound(address: str, transport: str) -> bool:
    number = "".join(f"{int(part):02X}" for part in reversed(address.split(".")))
    return f" {number}:{PORT:04X} " in Path(f"/proc/net/{transport}").read_text()


def log(folder: Path, party: str) -> str:
    """All messages that a party sent and received."""
    path = folder / f"{party}.log"
    return path.read_text(errors="surrogateescape") if path.exists() else ""


def _said(folder: Path, party: str) -> str:
    errors = folder / f"{party}.errors"
    screen = (folder / f"{party}.out").read_text(errors="replace")[-1500:]
    said = errors.read_text(errors="replace") if errors.exists() else screen
    return f"=== {party} failed ({folder}):\n{said}\n--- its messages:\n{log(folder, party)}"


def main(names: Iterable[str]) -> int:
    """Play the flows that are named; returns the exit status."""
    failed = 0
    for name in names:
        folder = Path(tempfile.mkdtemp(prefix="flow-"))
        flow = read(Path(name))
        try:
            play(flow, folder)
            print(f"{flow.name}: held ({folder})")
        except AssertionError as error:
            failed = 1
            print(f"{flow.name}: {error}")
    return failed


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
