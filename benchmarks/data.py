"""The data of the benchmarks: 100,000 VIPs, 1,000,000 bindings, 50 rules, and callers spread over them at random.

The numbers are arithmetic, so that kamailio.cfg makes the same ones: change both together.
"""

import random
import time
from pathlib import Path

from sipacr.store import Database

VIPS = 100_000
BINDINGS = 1_000_000
AGENTS = 100  # extensions 100-199
RULES = 50
DIALLED = "+48221112233"


def vip(index: int) -> str:
    """E.164 number of one VIP; his agent is `agent(index)`."""
    return f"+4850{1_000_005 + 80 * index}"


def customer(index: int) -> str:
    """E.164 number of one customer with a binding; it names `agent(index)`."""
    return f"+4860{1_000_003 + 8 * index}"


def agent(index: int) -> str:
    return f"agent{100 + index % AGENTS}"


def write_callers(path: Path, lines: int = 200_000, seed: int = 1) -> None:
    """SIPp's -inf file (CALLER;DIALLED): a third VIPs, a third bound, a third unknown, each at random."""
    pick = random.Random(seed)
    kinds = (
        lambda: vip(pick.randrange(VIPS)),
        lambda: customer(pick.randrange(BINDINGS)),
        lambda: f"+4878{pick.randrange(1_000_000, 10_000_000)}",
    )
    numbers = (pick.choice(kinds)() for _ in range(lines))
    path.write_text("RANDOM\n" + "".join(f"{number};{DIALLED}\n" for number in numbers))


SETTINGS = """\
listen:
  udp: ["127.0.0.1:{port}"]
numbers:
  country: PL
  timezone: Europe/Warsaw
  own: {{"{dialled}": Shop, "+48221119900": Customers' line}}
  extensions: ["1??"]
  emergency: ["112"]
peers:
  trunk:
    role: trunk
    address: "127.0.0.1:{trunk}"
    mode: {mode}
    trusted: true
  pbx:
    role: pbx
    address: "{pbx}"
    mode: {mode}
destinations: {{queue: "600@pbx"}}
outgoing_via: [trunk]
store: {{path: sipacr.db}}
"""


def rules_text(masks: int = 0) -> str:
    """50 rules of every kind that redirects know; those that nearly all callers reach (VIP, sticky) are the last.

    `masks` more rules, each with a mask of its own that no caller fits, stand before those.
    """
    lines = ["agents:"]
    lines += [f"  agent{number}: {{extension: {number}}}" for number in range(100, 100 + AGENTS)]
    lines += [
        "lists: {black: {}, partners: {known: true}}",
        "schedules:",
        '  office: {mon-fri: ["08:00-12:00", "12:30-20:00"]}',
        '  always: {daily: "00:00-24:00"}',
        "sticky:",
        "  returning: {preset: acr}",
        "rules:",
        "  - {name: blocked, when: {caller: {list: black}}, reject: 603}",
        '  - {name: customers only, when: {dialled: "+48221119900", caller: {known: false}}, reject: 403}',
        "  - {name: summer, when: {header: {X-Campaign: summer*}, during: office}, route: [{agent: agent100}]}",
        "  - {name: anonymous, when: {caller: {anonymous: true}}, route: [{to: queue}]}",
    ]
    lines += [
        f'  - {{name: exact {n}, when: {{caller: "+4861234{n:04}"}}, route: [{{agent: agent{100 + n}}}]}}'
        for n in range(10)
    ]
    lines += [
        f'  - {{name: partner {n}, when: {{caller: {{mask: "+4922{n}*"}}}}, route: [{{agent: agent{100 + n}}}]}}'
        for n in range(10, 44)
    ]
    lines += [
        f'  - {{name: m{n}, when: {{caller: {{mask: "+4933{n:05}*"}}}}, route: [{{agent: agent{100 + n % AGENTS}}}]}}'
        for n in range(masks)
    ]
    lines += [
        "  - {name: VIP, when: {caller: {vip: true}}, route: [{vip: true}, {to: queue}]}",
        "  - {name: own person, when: {during: always}, route: [{sticky: returning}, {to: queue}]}",
        "fallback: queue",
    ]
    return "\n".join(lines) + "\n"


def write_configuration(folder: Path, port: int, masks: int = 0, relay_to: int | None = None) -> Path:
    """sipacr.yaml, its rules (and `masks` more) and its store in `folder`; the path of sipacr.yaml.

    With `relay_to` calls are relayed to a PBX on that port of the loopback, else they are redirected.
    """
    settings = folder / "sipacr.yaml"
    mode, pbx = ("redirect", "127.0.0.2:5060") if relay_to is None else ("relay", f"127.0.0.1:{relay_to}")
    trunk = 5060 if relay_to is None else relay_to - 1
    settings.write_text(SETTINGS.format(port=port, dialled=DIALLED, mode=mode, pbx=pbx, trunk=trunk))
    (folder / "rules").mkdir()
    (folder / "rules" / "rules.yaml").write_text(rules_text(masks))
    write_store(folder / "sipacr.db")
    return settings


def write_store(path: Path) -> None:
    """All VIPs and bindings. Each customer talked with his agent a minute ago."""
    now = time.time()
    with Database(path) as database, database.transaction() as connection:
        connection.executemany(
            "INSERT INTO vips (customer, agent, changed, by) VALUES (?, ?, ?, 'benchmark')",
            ((vip(index), agent(index), now) for index in range(VIPS)),
        )
        connection.executemany(
            "INSERT INTO bindings (customer, profile, agent, made, in_answered) VALUES (?, 'returning', ?, ?, ?)",
            ((customer(index), agent(index), now - 60, now - 60) for index in range(BINDINGS)),
        )
