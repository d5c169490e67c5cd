"""What one INVITE costs inside the router, without sockets: bytes in, the 302 as bytes out.

    python benchmarks/message.py [--profile]

Data, rules and callers are those of redirect.py, the INVITE is SIPp's. Shown is the cheapest and the middle one of 60
batches of 500, in microseconds of this thread's CPU: the first is what the code costs, the second what a busy machine
makes of it.
"""

import argparse
import cProfile
import gc
import pstats
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import data

from sipacr import configuration
from sipacr.router import Router
from sipacr.sip.caller import IDENTITY
from sipacr.sip.front import Front
from sipacr.sip.library import Library, self_check
from sipacr.sip.message import Parser
from sipacr.sip.scan import Scanner

PORT = 15060
BATCHES, BATCH = 60, 500
WARM = 5_000  # INVITEs before the first that counts
BODY = """\
v=0
o=trunk 53655765 2353687637 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio 6000 RTP/AVP 8 0 101
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
"""
HEAD = f"""\
INVITE sip:{data.DIALLED}@127.0.0.1:{PORT} SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK-4711-%(number)d-0
From: <sip:%(caller)s@127.0.0.1:5060>;tag=4711-%(number)d
To: <sip:{data.DIALLED}@127.0.0.1:{PORT}>
Call-ID: %(number)d-4711@127.0.0.1
CSeq: 1 INVITE
Contact: <sip:%(caller)s@127.0.0.1:5060>
Max-Forwards: 70
User-Agent: trunk
Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, UPDATE
Supported: timer, 100rel
Content-Type: application/sdp
Content-Length: {len(BODY) + BODY.count(chr(10))}

"""


def invites(callers: Path) -> list[bytes]:
    """All that the benchmark needs, each from the caller of its line."""
    lines = callers.read_text().splitlines()[1 : 1 + WARM + BATCHES * BATCH]
    numbers = (line.partition(";")[0] for line in lines)
    texts = (HEAD % {"number": n, "caller": caller} + BODY for n, caller in enumerate(numbers))
    return [text.replace("\n", "\r\n").encode() for text in texts]


def receiver(settings: Path) -> Callable[[bytes], object]:
    """What a socket would call with each datagram of the trunk, built as the service builds it."""
    loaded, problems = configuration.load(settings)
    if loaded is None:
        sys.exit("\n".join(map(str, problems)))
    library = Library()
    router = Router(loaded, time.time, verbose=False)
    front = Front(Parser(library, self_check(library)), router.route, router.fallback, b"secret", time.monotonic)
    front.scanner = Scanner((*IDENTITY, *loaded.engine.ruleset.headers))
    front.set_own_addresses([("127.0.0.1", PORT)])
    trunk = loaded.settings.directory.peers["trunk"]
    return lambda message: front.datagram(message, trunk, b"127.0.0.1", 5060)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", action="store_true", help="also where the time goes, by cProfile")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sipacr-bench-") as place:
        folder = Path(place)
        data.write_callers(folder / "callers.csv")
        receive = receiver(data.write_configuration(folder, PORT))
        messages = invites(folder / "callers.csv")
        gc.freeze()
        for message in messages[:WARM]:
            receive(message)
        costs = []
        for start in range(WARM, len(messages), BATCH):
            begin = time.thread_time_ns()
            for message in messages[start : start + BATCH]:
                receive(message)
            costs.append((time.thread_time_ns() - begin) / BATCH / 1000)
        print(f"one INVITE: {min(costs):.1f} us, middle of {BATCHES} batches {statistics.median(costs):.1f} us")
        if arguments.profile:
            with cProfile.Profile() as profile:
                for message in messages:
                    receive(message)
            pstats.Stats(profile).sort_stats("tottime").print_stats(40)


if __name__ == "__main__":
    main()
