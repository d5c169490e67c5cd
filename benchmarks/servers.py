"""The servers under measurement: start, wait for the first answer, CPU and memory of all their processes, stop."""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
COMPILED = Path(__file__).parents[1] / ".venv-compiled" / "bin" / "python"
STARTED_AT_MOST = 120.0  # seconds; Kamailio's own allocator needs some 15 s for a million entries


def router() -> list[str]:
    """The command that runs sipacr: compiled, if `make compiled` was here, else this checkout as it is."""
    if COMPILED.exists():
        return [str(COMPILED), "-P", "-m", "sipacr"]  # -P: not the checkout's own files
    print("sipacr runs as plain Python; `make compiled` makes the one for production", flush=True)
    return [sys.executable, "-m", "sipacr"]


@dataclass
class Server:
    """One server on 127.0.0.1, bound to one core."""

    name: str
    command: list[str]
    port: int
    core: int
    log: Path
    start_seconds: float = 0.0  # from exec to the first answered OPTIONS
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Raises RuntimeError, with the end of the log, if it does not answer."""
        begin = time.monotonic()
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                ["taskset", "-c", str(self.core), *self.command], stdout=log, stderr=log, start_new_session=True
            )
        while time.monotonic() - begin < STARTED_AT_MOST and self._process.poll() is None:
            if answers(self.port, wait=0.05):
                self.start_seconds = time.monotonic() - begin
                return
        self.stop()
        tail = self.log.read_text(errors="replace")[-2_000:]
        raise RuntimeError(f"{self.name} did not start: {' '.join(self.command)}\n{tail}")

    def stop(self) -> None:
        """Ends all processes of this server, however they take it."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

    def pids(self) -> list[int]:
        """The process that was started and all below it."""
        assert self._process is not None
        found = [self._process.pid]
        for pid in found:
            for thread in Path(f"/proc/{pid}/task").iterdir():
                found += map(int, (thread / "children").read_text().split())
        return found

    def cpu_seconds(self) -> float:
        """User and system time of all processes since they started."""
        ticks = 0
        for pid in self.pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])  # utime, stime (proc(5): 14 and 15)
        return ticks / TICK

    def rss_kib(self) -> int:
        """Resident memory: each process's own pages, and once the shared ones (Kamailio's tables)."""
        own = shared = 0
        for pid in self.pids():
            status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
            own += kib(status["RssAnon"]) + kib(status["RssFile"])
            shared = max(shared, kib(status["RssShmem"]))
        return own + shared


def kib(text: str) -> int:
    """`"  1234 kB"` of /proc as a number."""
    return int(text.split()[0])


def answers(port: int, wait: float) -> bool:
    """Whether an OPTIONS to 127.0.0.1:port is answered with 200 within `wait` seconds."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(wait)
        probe.connect(("127.0.0.1", port))
        local = probe.getsockname()[1]
        lines = (
            f"OPTIONS sip:127.0.0.1:{port} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{local};branch=z9hG4bK{time.monotonic_ns()}",
            "Max-Forwards: 70",
            f"From: <sip:ready@127.0.0.1:{local}>;tag=ready",
            f"To: <sip:127.0.0.1:{port}>",
            f"Call-ID: {time.monotonic_ns()}",
            "CSeq: 1 OPTIONS",
            "Content-Length: 0",
        )
        try:
            probe.send(("\r\n".join(lines) + "\r\n\r\n").encode())
            return probe.recv(4_000).startswith(b"SIP/2.0 200 ")
        except OSError:  # refused or silent: not yet
            time.sleep(wait)
            return False
