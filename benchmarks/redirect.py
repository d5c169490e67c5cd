"""CPU of a redirected call (INVITE, 302, ACK; UDP): sipacr beside Kamailio, in one run, on the same data.

    python benchmarks/redirect.py [--rounds 3] [--seconds 10] [--rates 3000,6000] [--only sipacr] [--masks 0] [--memory]

All servers run at once, bound to one core; SIPp has the other. Only one is under load at a time, in turns, so that what
the machine does beside it meets all alike. Loopback only. Exit code 1 if any call failed: the
figures then count for nothing.
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import data
import sipp
from servers import Server, router

HERE = Path(__file__).parent
SERVER_CORE, SIPP_CORE = 1, 0
PORTS = {"sipacr": 15060, "kamailio": 15070, "kamailio -x fm -X fm": 15080}


def kamailio(name: str, folder: Path) -> Server:
    """Debian's kamailio with benchmarks/kamailio.cfg; `name` ends in the allocator's options."""
    run = folder / name.replace(" ", "")
    run.mkdir()
    command = ["kamailio", "-f", str(HERE / "kamailio.cfg"), "-l", f"udp:127.0.0.1:{PORTS[name]}", "-m", "1024"]
    command += [*name.split()[1:], "-DD", "-Y", str(run), "-P", str(run / "pid")]
    return Server(name, command, PORTS[name], SERVER_CORE, folder / f"{run.name}.log")


def sipacr(folder: Path, masks: int) -> Server:
    """This checkout's router with the same data in its store."""
    home = folder / "sipacr"
    home.mkdir()
    begin = time.monotonic()
    settings = data.write_configuration(home, PORTS["sipacr"], masks)
    print(f"sipacr's data made in {time.monotonic() - begin:.0f} s", flush=True)
    command = [*router(), "-c", str(settings), "run"]
    return Server("sipacr", command, PORTS["sipacr"], SERVER_CORE, folder / "sipacr.log")


def measure(server: Server, folder: Path, callers: Path, rate: int, calls: int) -> tuple[float, sipp.Load]:
    """CPU microseconds per call, and what SIPp saw."""
    before = server.cpu_seconds()
    load = sipp.run(folder, callers, server.port, rate, calls, SIPP_CORE)
    return (server.cpu_seconds() - before) * 1e6 / load.calls, load


def compare(servers: list[Server], folder: Path, callers: Path, arguments: argparse.Namespace) -> int:
    """Loads each server at each rate in turns and prints the table; the number of failed calls."""
    cpu: dict[tuple[int, str], list[float]] = defaultdict(list)
    loads: dict[tuple[int, str], list[sipp.Load]] = defaultdict(list)
    for server in servers:  # the first calls fill caches; they are not measured
        measure(server, folder, callers, 1000, 2000)
    for turn in range(arguments.rounds):
        for rate in arguments.rates:
            for server in servers:
                spent, load = measure(server, folder, callers, rate, rate * arguments.seconds)
                cpu[rate, server.name].append(spent)
                loads[rate, server.name].append(load)
                print(
                    f"round {turn + 1}, {rate}/s, {server.name}: {spent:.1f} us, {load.rate:.0f} calls/s,"
                    f" {load.failed} failed, {load.retransmissions} repeated, p50 {load.p50} ms, p99 {load.p99} ms",
                    flush=True,
                )
    print("\n| calls/s | server | CPU us per call | of the rounds | p50 ms | p99 ms | failed | repeated |")
    print("|---|---|---|---|---|---|---|---|")
    for (rate, name), spent in cpu.items():
        seen = loads[rate, name]
        every = ", ".join(f"{value:.1f}" for value in spent)
        p50, p99 = statistics.median(x.p50 for x in seen), statistics.median(x.p99 for x in seen)
        failed, repeated = sum(x.failed for x in seen), sum(x.retransmissions for x in seen)
        cells = rate, name, f"**{statistics.median(spent):.1f}**", every, f"{p50:.0f}", f"{p99:.0f}", failed, repeated
        print("| " + " | ".join(map(str, cells)) + " |")
    print("\n| server | start s | RSS MB |")
    print("|---|---|---|")
    for server in servers:
        print(f"| {server.name} | {server.start_seconds:.2f} | {server.rss_kib() / 1024:.0f} |")
    return sum(load.failed for each in loads.values() for load in each)


def memory(server: Server, folder: Path, callers: Path) -> int:
    """Prints the growth from 10,000 to 1,000,000 redirected calls; the number of failed calls."""
    _, first = measure(server, folder, callers, 3000, 10_000)
    early = server.rss_kib()
    _, rest = measure(server, folder, callers, 6000, 990_000)
    late = server.rss_kib()
    print(
        f"\n{server.name}: RSS {early / 1024:.1f} MB after 10,000 calls, {late / 1024:.1f} MB after 1,000,000:", end=" "
    )
    print(f"{(late - early) / 1024:+.1f} MB; {first.failed + rest.failed} calls failed")
    return first.failed + rest.failed


def machine() -> str:
    """One line on where the figures come from."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = next(
        (line.partition(":")[2].strip() for line in cpuinfo.splitlines() if line.startswith("model name")), "?"
    )
    versions = [f"Linux {platform.release()}", f"CPython {platform.python_version()}"]
    versions.append(subprocess.run(["sipp", "-v"], capture_output=True, text=True).stdout.split("\n")[1].strip(" ."))
    if shutil.which("kamailio"):
        versions.append(subprocess.run(["kamailio", "-v"], capture_output=True, text=True).stdout.split("\n")[0])
    return f"{model}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start; {'; '.join(versions)}"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10, help="of load per measurement")
    parser.add_argument("--rates", type=lambda text: [int(rate) for rate in text.split(",")], default=[3000, 6000])
    parser.add_argument("--masks", type=int, default=0, help="so many more rules with a mask for sipacr")
    parser.add_argument("--only", choices=["sipacr", "kamailio"], help="measure one of the two")
    parser.add_argument(
        "--memory", action="store_true", help="also sipacr's RSS after 10,000 and 1,000,000 calls (3 min)"
    )
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
        names = [name for name in PORTS if not arguments.only or name.startswith(arguments.only)]
        servers = [sipacr(folder, arguments.masks) if name == "sipacr" else kamailio(name, folder) for name in names]
        try:
            for server in servers:
                server.start()
                print(f"{server.name} answered after {server.start_seconds:.2f} s", flush=True)
            failed += compare(servers, folder, callers, arguments)
            if arguments.memory and names[0] == "sipacr":
                failed += memory(servers[0], folder, callers)
        finally:
            for server in servers:
                server.stop()
    if failed:
        print(f"\n{failed} calls failed: these figures count for nothing.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
