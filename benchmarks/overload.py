"""Goodput of relayed calls when more are offered than the router can take: at its peak, twice and five times that.

    python benchmarks/overload.py [--seconds 15] [--factors 1,2,5]

First the peak: SIPp begins a call whenever another has ended, so that the router always has work and never too much.
Then calls come at multiples of that rate whatever becomes of them. A call is good if it was answered and hung up as it
should be; one that was refused with 503 was not good, and one that was neither has failed. The router is bound to one
core and SIPp to the other. On a machine that does something else beside, calls per CPU second of the router are the
figure to look at: they do not depend on how much of its core the router was given. Exit code 1 if a goodput is below
90% of the peak. Loopback only; each load ends by itself.
"""

import argparse
import csv
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import data
from redirect import machine
from relay import LOAD, SIPP_CORE, TRUNK, callee, sipacr
from servers import Server
from sipp import epoch

AT_ONCE = 40  # calls in progress while the peak is measured
ENOUGH = 0.9  # of the peak


@dataclass(frozen=True)
class Load:
    """What became of the calls."""

    offered: float  # a second
    good: int
    refused: int
    failed: int
    repeated: int
    seconds: float  # until the last one began
    cpu: float  # seconds of the router's
    rss: int  # KiB of the router, at the end

    @property
    def goodput(self) -> float:
        """Good calls a second."""
        return self.good / self.seconds

    @property
    def per_cpu(self) -> float:
        """Good calls for each CPU second of the router."""
        return self.good / self.cpu


def load(server: Server, folder: Path, callers: Path, rate: int, seconds: int, at_once: int) -> Load:
    """Calls at `rate` a second for so long, no more than `at_once` in progress."""
    counts = folder / "counts.csv"
    counts.unlink(missing_ok=True)
    command = ["taskset", "-c", str(SIPP_CORE), "sipp", "-sf", str(LOAD / "overload_caller.xml"), "-inf", str(callers)]
    command += ["-i", "127.0.0.1", "-p", str(TRUNK), f"127.0.0.1:{server.port}", "-nostdin", "-nd", "-d", "0"]
    command += ["-r", str(rate), "-l", str(at_once), "-m", str(rate * seconds), "-recv_timeout", "20000"]
    command += ["-timeout", f"{seconds}s", "-trace_stat", "-stf", str(counts), "-fd", "1"]
    before = server.cpu_seconds()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds + 60)
    cpu = server.cpu_seconds() - before
    if not counts.exists():
        raise RuntimeError(f"SIPp ended with {done.returncode}: {done.stderr[-2_000:]}")
    with counts.open() as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    last = rows[-1]
    begun = next(row for row in rows if row["TotalCallCreated"] == last["TotalCallCreated"])
    elapsed = epoch(begun["CurrentTime"]) - epoch(last["StartTime"])
    refused = int(next(value for name, value in last.items() if name and name.startswith("GenericCounter1(C)")))
    return Load(
        offered=int(last["TotalCallCreated"]) / elapsed,
        good=int(last["SuccessfulCall(C)"]) - refused,
        refused=refused,
        failed=int(last["FailedCall(C)"]),
        repeated=int(last["Retransmissions(C)"]),
        seconds=elapsed,
        cpu=cpu,
        rss=server.rss_kib(),
    )


def row(name: str, seen: Load, peak: Load) -> str:
    cells = (
        name, f"{seen.offered:.0f}", f"**{seen.goodput:.0f}**", f"{seen.goodput / peak.goodput:.0%}",
        f"{seen.per_cpu:.0f}", f"**{seen.per_cpu / peak.per_cpu:.0%}**",
        seen.refused, seen.failed, seen.repeated, f"{seen.rss / 1024:.0f}",
    )  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=15, help="of each load")
    parser.add_argument(
        "--factors", type=lambda text: [float(each) for each in text.split(",")], default=[1.0, 2.0, 5.0]
    )
    arguments = parser.parse_args()
    if not shutil.which("sipp"):
        sys.exit("sipp missing: sudo apt-get install -y sip-tester")
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory(prefix="sipacr-overload-") as place:
        folder = Path(place)
        callers = folder / "callers.csv"
        data.write_callers(callers)
        (folder / "pbx").mkdir()
        server, pbx = sipacr(folder), callee(folder / "pbx")
        try:
            server.start()
            load(server, folder, callers, 100, 5, AT_ONCE)  # fills caches
            peak = load(server, folder, callers, 20_000, arguments.seconds, AT_ONCE)
            print(
                "\n| load | offered/s | good/s | of the peak | good per CPU s | of it | 503 | failed | repeated | MB |"
            )
            print("|---|---|---|---|---|---|---|---|---|---|")
            print(row("peak", peak, peak), flush=True)
            worst = 1.0
            for factor in arguments.factors:
                rate = round(peak.goodput * factor)
                seen = load(server, folder, callers, rate, arguments.seconds, rate * 10)
                print(row(f"{factor:g} x", seen, peak), flush=True)
                worst = min(worst, seen.per_cpu / peak.per_cpu)
        finally:
            server.stop()
            pbx.terminate()
            pbx.wait()
    return 0 if worst >= ENOUGH else 1


if __name__ == "__main__":
    sys.exit(main())
