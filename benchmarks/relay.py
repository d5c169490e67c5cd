"""CPU of a relayed call (INVITE 100 180 200 ACK, BYE 200; UDP): sipacr beside Kamailio, in one run, the same calls.

    python benchmarks/relay.py [--rounds 3] [--seconds 10] [--rates 200,500] [--only sipacr] [--held 0] [--long 0]

sipacr keeps two dialogs a call and decides by 50 rules over 100,000 VIPs and 1,000,000 bindings; Kamailio is a
record-routing proxy with transactions, without dialogs or decisions. All servers run at once, bound to one core; SIPp,
caller and callee, has the other. Loopback only. Exit code 1 if any call failed: the figures then count for nothing.
`--held N` holds N calls at once and tells the memory of each; `--long N` makes N calls at 300 a second.
"""

import argparse
import csv
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import data
from redirect import machine
from servers import Server, router
from sipp import epoch

HERE = Path(__file__).parent
LOAD = HERE.parent / "scenarios" / "load"
SERVER_CORE, SIPP_CORE = 1, 0
PORTS = {"sipacr": 15160, "kamailio": 15170, "kamailio -x fm -X fm": 15180}
TRUNK, PBX = 15189, 15190  # the ports of SIPp


@dataclass(frozen=True)
class Load:
    """What the callers saw. Times from INVITE to 180 in milliseconds, by SIPp's clock, which steps by one to four."""

    calls: int
    failed: int
    unexpected: int
    retransmissions: int
    seconds: float
    p50: float
    p99: float


def kamailio(name: str, folder: Path) -> Server:
    """Debian's kamailio with benchmarks/kamailio_relay.cfg; `name` ends in the allocator's options."""
    run = folder / name.replace(" ", "")
    run.mkdir()
    config = run / "kamailio.cfg"
    config.write_text((HERE / "kamailio_relay.cfg").read_text().replace("CALLEE", str(PBX)))
    command = ["kamailio", "-f", str(config), "-l", f"udp:127.0.0.1:{PORTS[name]}", "-m", "512"]
    command += [*name.split()[1:], "-DD", "-Y", str(run), "-P", str(run / "pid")]
    return Server(name, command, PORTS[name], SERVER_CORE, folder / f"{run.name}.log")


def sipacr(folder: Path) -> Server:
    """This checkout's router with the data of the redirect benchmark, relaying to the PBX."""
    home = folder / "sipacr"
    home.mkdir()
    settings = data.write_configuration(home, PORTS["sipacr"], relay_to=PBX)
    command = [*router(), "-c", str(settings), "run"]
    return Server("sipacr", command, PORTS["sipacr"], SERVER_CORE, folder / "sipacr.log")


def callee(folder: Path) -> subprocess.Popen[bytes]:
    """SIPp as the PBX, for the whole run."""
    command = ["taskset", "-c", str(SIPP_CORE), "sipp", "-sf", str(LOAD / "relay_callee.xml"), "-i", "127.0.0.1"]
    command += ["-p", str(PBX), "-nostdin", "-nd", "-timeout", "3600s", "-l", "100000"]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def load(folder: Path, callers: Path, port: int, rate: int, calls: int, hold: float = 0.0) -> Load:
    """`calls` calls at `rate` a second, each of `hold` seconds; ends by itself in a bounded time."""
    counts = folder / "counts.csv"
    for old in (counts, *folder.glob("*_rtt.csv")):
        old.unlink(missing_ok=True)
    most = int(10 + hold + 3 * calls / rate)
    command = ["taskset", "-c", str(SIPP_CORE), "sipp", "-sf", str(LOAD / "relay_caller.xml"), "-inf", str(callers)]
    command += [
        "-i",
        "127.0.0.1",
        "-p",
        str(TRUNK),
        f"127.0.0.1:{port}",
        "-nostdin",
        "-nd",
        "-d",
        str(int(hold * 1000)),
    ]
    command += [
        "-r",
        str(rate),
        "-m",
        str(calls),
        "-l",
        str(max(rate * 4, calls if hold else 0)),
        "-timeout",
        f"{most}s",
    ]
    command += ["-trace_stat", "-stf", str(counts), "-fd", "1", "-trace_rtt", "-rtt_freq", "200"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if not counts.exists():
        raise RuntimeError(f"SIPp ended with {done.returncode}: {done.stderr[-2_000:]}")
    with counts.open() as file:
        last = list(csv.DictReader(file, delimiter=";"))[-1]
    times: list[float] = []
    for path in folder.glob("*_rtt.csv"):
        with path.open() as file:
            times += [float(row["response_time_ms"]) for row in csv.DictReader(file, delimiter=";")]
    times = sorted(times) or [float("nan")]
    created = int(last["TotalCallCreated"])
    return Load(
        calls=created,
        failed=int(last["FailedCall(C)"]) + calls - created,
        unexpected=int(last["FailedUnexpectedMessage(C)"]),
        retransmissions=int(last["Retransmissions(C)"]),
        seconds=epoch(last["CurrentTime"]) - epoch(last["StartTime"]),
        p50=times[len(times) // 2],
        p99=times[len(times) * 99 // 100],
    )


def compare(servers: list[Server], folder: Path, callers: Path, arguments: argparse.Namespace) -> int:
    """Loads each server at each rate in turns and prints the table; the number of failed calls."""
    cpu: dict[tuple[int, str], list[float]] = defaultdict(list)
    loads: dict[tuple[int, str], list[Load]] = defaultdict(list)
    for server in servers:  # the first calls fill caches; they are not measured
        load(folder, callers, server.port, 200, 600)
    for turn in range(arguments.rounds):
        for rate in arguments.rates:
            for server in servers:
                before = server.cpu_seconds()
                seen = load(folder, callers, server.port, rate, rate * arguments.seconds)
                time.sleep(1.0)  # the last transactions of the call: their cost belongs to it
                spent = (server.cpu_seconds() - before) * 1e6 / seen.calls
                cpu[rate, server.name].append(spent)
                loads[rate, server.name].append(seen)
                print(f"round {turn + 1}, {rate}/s, {server.name}: {spent:.0f} us, {seen}", flush=True)
    print(
        "\n| calls/s | server | CPU us per call | of the rounds | INVITE to 180: p50 ms | p99 ms | failed | repeated |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for (rate, name), spent_each in cpu.items():
        of_all = loads[rate, name]
        cells = (
            rate, name, f"**{statistics.median(spent_each):.0f}**", ", ".join(f"{value:.0f}" for value in spent_each),
            f"{statistics.median(x.p50 for x in of_all):.1f}", f"{statistics.median(x.p99 for x in of_all):.1f}",
            sum(x.failed for x in of_all), sum(x.retransmissions for x in of_all),
        )  # fmt: skip
        print("| " + " | ".join(map(str, cells)) + " |")
    return sum(each.failed for several in loads.values() for each in several)


def held(server: Server, folder: Path, callers: Path, calls: int) -> int:
    """Holds so many calls at once and prints what each costs in memory."""
    before = server.rss_kib()
    hold = calls / 250 + 10
    peak = before
    done: list[Load] = []
    thread = threading.Thread(target=lambda: done.append(load(folder, callers, server.port, 250, calls, hold)))
    thread.start()
    while thread.is_alive():
        peak = max(peak, server.rss_kib())
        thread.join(0.5)
    time.sleep(40.0)  # until the last timers of the transactions have passed
    after = server.rss_kib()
    print(
        f"\n{server.name}: {calls} calls held at once: {done[0].failed} failed; RSS {before / 1024:.0f} MB before,"
        f" {peak / 1024:.0f} MB at the peak ({(peak - before) / calls:.1f} KiB a call), {after / 1024:.0f} MB after"
    )
    return done[0].failed


def long(server: Server, folder: Path, callers: Path, calls: int) -> int:
    """So many calls at 300 a second, in ten runs; prints the memory after each."""
    failed = 0
    for run in range(10):
        seen = load(folder, callers, server.port, 300, calls // 10)
        failed += seen.failed
        print(f"{server.name}: run {run + 1}: {seen}, RSS {server.rss_kib() / 1024:.1f} MB", flush=True)
    return failed


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10, help="of load per measurement")
    parser.add_argument("--rates", type=lambda text: [int(rate) for rate in text.split(",")], default=[200, 500])
    parser.add_argument("--only", choices=["sipacr", "kamailio"], help="measure one of the two")
    parser.add_argument("--held", type=int, default=0, help="hold so many calls at once")
    parser.add_argument("--long", type=int, default=0, help="make so many calls at 300 a second")
    return parser.parse_args()


def main() -> int:
    arguments = parse()
    if (os.cpu_count() or 1) < 2:
        sys.exit("The benchmark needs two cores: one for the server, one for SIPp.")
    missing = [name for name in ("sipp", "kamailio") if not shutil.which(name) and arguments.only != "sipacr"]
    if missing:
        sys.exit(f"{' and '.join(missing)} missing: sudo apt-get install -y sip-tester kamailio; or --only sipacr")
    print(machine(), flush=True)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="sipacr-bench-") as place:
        folder = Path(place)
        callers = folder / "callers.csv"
        data.write_callers(callers)
        (folder / "pbx").mkdir()
        names = [name for name in PORTS if not arguments.only or name.startswith(arguments.only)]
        servers = [sipacr(folder) if name == "sipacr" else kamailio(name, folder) for name in names]
        pbx = callee(folder / "pbx")
        try:
            for server in servers:
                server.start()
            failed += compare(servers, folder, callers, arguments)
            if arguments.held:
                failed += held(servers[0], folder, callers, arguments.held)
            if arguments.long:
                failed += long(servers[0], folder, callers, arguments.long)
        finally:
            for server in servers:
                server.stop()
            pbx.terminate()
            pbx.wait()
    if failed:
        print(f"\n{failed} calls failed: these figures count for nothing.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
