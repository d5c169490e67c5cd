"""One bounded load of redirected calls by SIPp, and what SIPp counted."""

import csv
import subprocess
from dataclasses import dataclass
from pathlib import Path

SCENARIO = Path(__file__).parents[1] / "scenarios" / "load" / "redirect.xml"


@dataclass(frozen=True)
class Load:
    """What one run came to. Response times in milliseconds, by SIPp's clock, which steps by one to four."""

    calls: int
    failed: int
    retransmissions: int
    seconds: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Calls per second that were really made."""
        return self.calls / self.seconds


def run(folder: Path, callers: Path, port: int, rate: int, calls: int, core: int) -> Load:
    """`calls` calls at `rate` a second to 127.0.0.1:port; stops by itself at three times the time that it should need.

    Raises RuntimeError if SIPp could not run at all; failed calls are counted, not raised.
    """
    counts = folder / "counts.csv"
    for old in (counts, *folder.glob("*_rtt.csv")):
        old.unlink(missing_ok=True)
    command = ["taskset", "-c", str(core), "sipp", "-sf", str(SCENARIO), "-inf", str(callers)]
    command += ["-i", "127.0.0.1", f"127.0.0.1:{port}", "-nostdin", "-nd", "-recv_timeout", "4000"]
    command += ["-r", str(rate), "-m", str(calls), "-l", str(rate * 4), "-timeout", f"{10 + 3 * calls // rate}s"]
    command += ["-trace_stat", "-stf", str(counts), "-fd", "1", "-trace_rtt", "-rtt_freq", "500"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if not counts.exists():
        raise RuntimeError(f"SIPp ended with {done.returncode}: {done.stderr[-2_000:]}")
    with counts.open() as file:
        last = list(csv.DictReader(file, delimiter=";"))[-1]
    times = next(folder.glob("*_rtt.csv"))
    with times.open() as file:
        response = sorted(float(row["response_time_ms"]) for row in csv.DictReader(file, delimiter=";"))
    return Load(
        calls=int(last["TotalCallCreated"]),
        failed=int(last["FailedCall(C)"]) + calls - int(last["TotalCallCreated"]),
        retransmissions=int(last["Retransmissions(C)"]),
        seconds=epoch(last["CurrentTime"]) - epoch(last["StartTime"]),
        p50=response[len(response) // 2],
        p99=response[len(response) * 99 // 100],
    )


def epoch(text: str) -> float:
    """SIPp's "date<TAB>time<TAB>unix seconds" as unix seconds."""
    return float(text.rpartition("\t")[2])
