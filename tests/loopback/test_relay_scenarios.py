"""The flows of scenarios/relay against real routers: each as its parties tell it, and all messages read strictly.

Several routers run side by side, each in a network of its own, so that flows can be played at the same time.
"""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import Queue

import pytest
import wire

ROOT = Path(__file__).parents[2]
SCENARIOS = ROOT / "scenarios"
FLOWS = sorted((SCENARIOS / "relay").glob("*.flow"))
LANES = 3
sys.path.insert(0, str(SCENARIOS))
import flows  # noqa: E402

pytestmark = [
    pytest.mark.loopback,
    pytest.mark.skipif(not shutil.which("sipp"), reason="SIPp is not installed: sudo apt-get install -y sip-tester"),
]


class Lane:
    """A router in a network of its own."""

    def __init__(self, folder: Path, net: str) -> None:
        self.net = net
        self.folder = folder
        shutil.copytree(SCENARIOS / "relay", folder)
        for path in (folder / "sipacr.yaml", folder / "kamailio.cfg"):
            path.write_text(path.read_text().replace(flows.NET, net))
        self.log = folder / "router.log"
        with self.log.open("wb") as output:
            command = [sys.executable, "-m", "sipacr", "-c", str(folder / "sipacr.yaml"), "run"]
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)

    def wait(self) -> "Lane":
        until = time.monotonic() + 30
        while "answers on" not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.02)
        return self

    def stop(self) -> None:
        for _ in range(2):  # at once
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()

    @contextlib.contextmanager
    def _proxy(self) -> Iterator[None]:
        """Kamailio in front of the callee."""
        command = ["kamailio", "-f", str(self.folder / "kamailio.cfg"), "-DD", "-E", "-Y", str(self.folder)]
        with (self.folder / "kamailio.log").open("ab") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            flows.wait_for(f"{self.net}41", "udp", process)
            yield
        finally:
            process.terminate()
            process.wait(10)

    def play(self, path: Path, folder: Path) -> Path:
        """One flow, whose traces are in the folder then; the strict reading is part of it."""
        flow = flows.read(path, self.net)
        folder.mkdir()
        with self._proxy() if "proxy" in flow.settings else contextlib.nullcontext():
            flows.play(flow, folder, self.net)
        if any(step.word("lost") for step in flow.steps):
            return folder  # SIPp writes nothing of what it loses
        traces = {party: wire.read(flows.log(folder, party)) for party in flow.parties}
        assert all(traces.values()), f"there is no trace in {folder}"
        found = list(wire.faults(traces, self.net, self.net + flows.ROUTER, flow.settings.get("proxy", "")))
        assert not found, f"{path.stem} ({folder}):\n" + "\n".join(found)
        if flow.places["A"][0] == "strict":  # he knows one dialog
            assert len({message.tag("To") for message in traces["A"] if message.code > 100}) == 1
        return folder


def _nets(count: int) -> list[str]:
    """Parts of the loopback network where nobody listens on our port."""
    free = []
    for number in range(os.getpid() % 200, os.getpid() % 200 + 5000):
        net = f"127.{20 + number // 250 % 200}.{number % 250}."
        with socket.socket(type=socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
            sock.bind((net + flows.ROUTER, flows.PORT))
            free.append(net)
        if len(free) == count:
            return free
    raise AssertionError("no free network")


@pytest.fixture(scope="module")
def played(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Path]]]:
    """All flows that are asked for, begun; what becomes of each is in its future."""
    folder = tmp_path_factory.mktemp("relay")
    here = [item for item in request.session.items if item.path == request.path and item.originalname == "test_flow"]
    skipped = {item for item in here for mark in item.iter_markers("skipif") if mark.args[0]}
    wanted = [SCENARIOS / "relay/basic.flow", *(item.callspec.params["path"] for item in here if item not in skipped)]
    wanted = list(dict.fromkeys(wanted))
    lanes: Queue[Lane] = Queue()
    started = [Lane(folder / f"lane{number}", net) for number, net in enumerate(_nets(min(LANES, len(wanted) or 1)))]

    def play(path: Path) -> Path:
        lane = lanes.get()
        try:
            return lane.play(path, folder / path.stem)
        finally:
            lanes.put(lane)

    with ThreadPoolExecutor(len(started)) as pool:
        try:
            for lane in started:
                lanes.put(lane.wait())
            yield {path.stem: pool.submit(play, path) for path in wanted}
            for lane in started:
                text = lane.log.read_text()
                assert lane.process.poll() is None, f"the router ended by itself:\n{text}"
                assert "our fault" not in text, text
                assert "Traceback" not in text, text
        finally:
            for lane in started:
                lane.stop()


def _marked(path: Path) -> object:
    marks = []
    if "proxy" in flows.read(path).settings:
        marks.append(pytest.mark.skipif(not shutil.which("kamailio"), reason="Kamailio is not installed"))
    return pytest.param(path, id=path.stem, marks=marks)


@pytest.mark.parametrize("path", [_marked(path) for path in FLOWS])
def test_flow(played: dict[str, Future[Path]], path: Path) -> None:
    played[path.stem].result(60)


# What the router might say wrong, in the flow `basic`: at which party, what of its trace, what instead.
MISTAKES = [
    ("A", "rport=5060;", ""),
    ("A", "Timestamp: 54\nContent", "Content"),
    ("A", ";tag=r", ";other=r"),
    ("A", "Contact: <sip:{router}:5060>", "Contact: <sip:10.0.0.1:5060>"),
    ("A", "Contact: <sip:{router}:5060>\n", ""),
    ("A", "Contact: <sip:{router}:5060>", "Contact: <sip:contact-B@{router}:5060>"),
    ("A", "Contact: <sip:{router}:5060>", "Contact: <sip:{router}:5060>\nServer: secret-B/1.0"),
    ("A", "m=audio 40066", "m=audio 40067"),
    ("A", "Content-Type: application/sdp\nContent-Length: 172", "Content-Length: 172"),
    ("B", "Max-Forwards: 69", "X-Forwards: 69"),
    ("B", "CSeq: 1 ACK", "CSeq: 2 ACK"),
    ("B", "CSeq: 2 BYE", "CSeq: 1 BYE"),
    ("B", ";rport\nMax", "\nMax"),
    ("B", "branch=z9hG4bK", "branch="),
    ("B", "Call-ID: ", "X-Route: {net}1\nCall-ID: "),
    ("B", "Subject: hello", "Subject: "),
    ("B", "MESSAGE, REFER, NOTIFY\n", "MESSAGE, REFER, NOTIFY, PUBLISH\n"),
]


@pytest.mark.parametrize(("party", "said", "instead"), MISTAKES)
def test_the_strict_reading_finds_mistakes(
    played: dict[str, Future[Path]], party: str, said: str, instead: str
) -> None:
    folder = played["basic"].result(60)
    texts = {name: flows.log(folder, name).replace("\r\n", "\n") for name in "AB"}
    found = re.search(r"(\d+\.\d+\.\d+\.)1:5060;branch", texts["A"])
    assert found is not None
    net = found[1]
    router = net + flows.ROUTER
    parts = re.split(r"(?m)^(?=-{40,} )", texts[party])
    received = [" received [" in part.partition("\n\n")[0] for part in parts]
    changed = [
        part.replace(said.format(router=router, net=net), instead.format(router=router, net=net)) if theirs else part
        for part, theirs in zip(parts, received, strict=True)
    ]
    assert changed != parts
    assert not list(wire.faults({name: wire.read(text) for name, text in texts.items()}, net, router))
    texts[party] = "".join(changed)
    assert list(wire.faults({name: wire.read(text) for name, text in texts.items()}, net, router))


def test_the_readme_tells_of_every_flow() -> None:
    told = dict(re.findall(r"^\| `relay/(\w+)\.flow` \| (.+) \|$", (SCENARIOS / "README.md").read_text(), re.M))
    assert told == {path.stem: flows.read(path).title for path in FLOWS}
