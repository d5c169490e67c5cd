"""Golden calls: every word of them, a readable difference, and problems with their place."""

from pathlib import Path

import pytest

from sipacr.routing.decide import Engine
from sipacr.routing.golden import Outcome, run
from sipacr.routing.regions import Regions
from sipacr.rulefile import load_rules
from sipacr.rulefile.golden import load_golden
from sipacr.rulefile.problems import Problem, has_errors
from sipacr.settings import load_settings

SETTINGS = """\
listen: {udp: "127.0.0.1:5060"}
numbers:
  country: PL
  timezone: Europe/Warsaw
  own: {"+48221112233": Shop A, "+48221119900": Customers' line}
  extensions: ["1??"]
  emergency: ["112"]
peers:
  pbx: {role: pbx, address: 10.0.0.5, mode: redirect, contact: pbx.example.pl}
  trunk-a: {role: trunk, address: sip.carrier-a.example, mode: redirect, trusted: true}
  trunk-b: {role: trunk, address: "192.0.2.7:5062", mode: redirect, transport: tcp}
destinations: {queue-main: 600@pbx, queue-sales: 601@pbx}
outgoing_via: [trunk-a, trunk-b]
"""
RULES = """\
agents:
  anna: {extension: 101}
  ivan: {extension: 102, mobile: "+48601222333"}
  olga: {extension: 103}
groups:
  sales: [[anna, ivan], [olga]]
lists: {black: {}, partners: {}, white: {known: true}}
schedules:
  office: {mon-fri: "08:00-20:00"}
sticky:
  returning: {preset: acr-24h}
  shop: {preset: vipex-1, ttl: 3d, scope: number}
rules:
  - {name: blocked, when: {caller: {list: black}}, reject: 603}
  - {name: strangers, when: {dialled: "+48221119900", caller: {known: false}}, reject: 403}
  - {name: summer, when: {header: {X-Campaign: summer*}}, route: [{to: queue-sales}], else: end}
  - {name: vip, when: {caller: {vip: true}}, route: [{vip: true}], else: end}
  - {name: partner, when: {caller: {list: partners}}, route: [{list: partners}]}
  - {name: own person, when: {during: office}, route: [{sticky: returning}], else: next}
  - {name: from Berlin, when: {caller: {region: DE-BE}}, route: [{mobile: ivan}, {sticky: shop}], else: {reject: 486}}
  - {name: owned, when: {caller: {shared: true}}, route: [{crm: main}], else: end}
  - {name: everybody, route: [{group: sales, order: longest-idle}, {to: queue-sales}]}
outgoing:
  - {name: premium, when: {dialled: {mask: "+4870*"}}, reject: 403}
fallback: queue-main
"""
MONDAY = '"2026-11-23T16:15"'
CALL = f'call: {{caller: "+48601000111", dialled: "+48221112233", peer: trunk-a, at: {MONDAY}}}'


def configure(folder: Path, golden: str) -> None:
    (folder / "rules" / "tests").mkdir(parents=True, exist_ok=True)
    (folder / "sipacr.yaml").write_text(SETTINGS)
    (folder / "rules" / "rules.yaml").write_text(RULES)
    (folder / "rules" / "tests" / "calls.yaml").write_text(golden)


def load(folder: Path, golden: str) -> tuple[list[Outcome], list[Problem]]:
    configure(folder, golden)
    settings, problems = load_settings(folder / "sipacr.yaml")
    assert settings is not None, problems
    ruleset, problems = load_rules(settings.rules, settings)
    assert ruleset is not None, problems
    engine = Engine(ruleset, settings.directory, Regions.load())
    calls, problems = load_golden(settings.rules / "tests", ruleset, settings.directory)
    return [run(engine, call) for call in calls], problems


def one(folder: Path, golden: str) -> tuple[str, ...]:
    """The differences of the only golden call."""
    outcomes, problems = load(folder, golden)
    assert not problems
    (outcome,) = outcomes
    return outcome.differences


def call(caller: str = '"+48601000111"', dialled: str = '"+48221112233"', **more: str) -> str:
    words = {"peer": "trunk-a", "at": MONDAY, **more}
    rest = "".join(f", {word}: {value}" for word, value in words.items() if value)
    return f"- call: {{caller: {caller}, dialled: {dialled}{rest}}}\n"


@pytest.mark.parametrize(
    "golden",
    [
        call() + "  expect: {rules: [own person, everybody], steps: [anna, ivan, olga, queue-sales]}",
        call()
        + '  given: {bindings: {returning: {"601 000 111": {agent: olga, at: "2026-11-22T16:30"}}}}\n'
        + "  expect: {rules: [own person, everybody], steps: [olga, anna, ivan, queue-sales]}",
        call()
        + '  given: {bindings: {returning: {"+48601000111": {agent: olga, at: "2026-11-22T16:00"}}}}\n'
        + "  expect: {steps: [anna, ivan, olga, queue-sales]}",
        call()
        + '  given: {bindings: {returning: {"+48601000111": [{agent: olga, at: "2026-11-23T10:00"},'
        + ' {agent: ivan, at: "2026-11-23T11:00+01:00"}]}}}\n'
        + "  expect: {steps: [ivan, anna, olga, queue-sales]}",
        call(at='"2026-11-22T16:15"') + "  expect: {rule: everybody}",  # a Sunday
        call() + '  given: {vip: {"+48601000111": anna}}\n  expect: {rule: vip, steps: [anna]}',
        call() + '  given: {vip: {"+48601000111": anna}, leave: [anna]}\n  expect: {rule: vip, steps: [], reject: 480}',
        call() + '  given: {vip: {"+48601000111": gone}}\n  expect: {rule: vip, steps: [], reject: 480}',
        call() + '  given: {lists: {black: ["+48601*"]}}\n  expect: {rule: blocked, reject: 603}',
        call() + '  given: {lists: {black: "0048 601 000 111"}}\n  expect: {rule: blocked}',
        call()
        + '  given: {lists: {partners: ["+48601*"]}, targets: {"+48601*": ivan}}\n'
        + "  expect: {rule: partner, steps: [ivan, queue-main]}",
        call()
        + '  given: {targets: {partners: {"+48601000111": queue-sales}}}\n'
        + "  expect: {rule: partner, steps: [queue-sales, queue-main]}",
        call()
        + '  given: {lists: {partners: ["+48601*"]}, targets: {partners: 700@trunk-b}}\n'
        + "  expect: {rule: partner, steps: [700@trunk-b, queue-main]}",
        call() + "  given: {busy: [ivan, anna]}\n  expect: {steps: [olga, queue-sales]}",
        call() + "  given: {down: [pbx]}\n  expect: {steps: [queue-main]}",
        call() + "  given: {idle: {anna: 5m, ivan: 1h}}\n  expect: {steps: [ivan, anna, olga, queue-sales]}",
        call() + "  given: {idle: {anna: 5m, ivan: 1h}}\n  expect: {steps: [anna, ivan, olga, queue-sales]}",
        call()
        + "  given: {idle: {anna: 5m}}\n"
        + '  expect: {contacts: ["102@pbx.example.pl;q=1.0", "101@pbx.example.pl;q=0.9",'
        + ' "sip:103@pbx.example.pl;q=0.8", "<sip:601@pbx.example.pl>;q=0.7"]}',
        call() + "  given: {unavailable: [store]}\n  expect: {rules: [own person, everybody],"
        " steps: [anna, ivan, olga, queue-sales, queue-main]}",
        call(dialled='"+48221119900"') + "  expect: {rule: strangers, reject: 403}",
        call(dialled='"+48221119900"')
        + '  given: {answered: ["+48601000111"]}\n  expect: {rules: [own person, everybody]}',
        call(dialled='"+48221119900"') + "  given: {unavailable: store}\n  expect: {rules: [own person, everybody]}",
        call("anonymous", '"+48221119900"') + "  expect: {rule: strangers}",
        call(dialled='"+48221119900"', headers="{Privacy: id}")
        + '  given: {answered: ["+48601000111"]}\n  expect: {rule: strangers}',
        call("anonymous", '"+48221119900"', headers='{P-Asserted-Identity: "<sip:+48601000111@x>"}')
        + '  given: {answered: ["+48601000111"]}\n  expect: {rules: [own person, everybody]}',
        call('"anonymous@anonymous.invalid"', '"+48221119900"') + "  expect: {rule: strangers}",
        call('""', '"+48221119900"') + "  expect: {rule: strangers}",
        call(headers="{X-Campaign: [winter, summer 26]}") + "  expect: {rule: summer, steps: [queue-sales]}",
        call('"+4930123456"')
        + '  given: {bindings: {shop: {"+4930123456": {agent: anna, at: "2026-11-23T10:00"}}}}\n'
        + "  expect: {rules: [own person, from Berlin], steps: [{mobile: ivan}, {agent: anna}], reject: 486,"
        + " via: [trunk-a, trunk-b]}",
        call('"+4930123456"')
        + '  given: {bindings: {shop: {"+4930123456": {agent: anna, at: "2026-11-23T10:00",'
        + ' number: "+48221119900"}}}}\n'
        + "  expect: {steps: [{mobile: ivan}]}",
        call() + '  given: {shared: ["+48601000111"], crm: {main: {"+48601000111": olga}}}\n'
        "  expect: {rules: [own person, owned], steps: [olga]}",
        call() + '  given: {shared: ["+48601000111"], crm: {"+48601000111": olga}}\n  expect: {steps: [olga]}',
        call() + '  given: {shared: ["+48601000111"]}\n  expect: {steps: [], reject: 480}',
        call() + '  given: {shared: ["+48601000111"], unavailable: crm}\n  expect: {steps: [queue-main]}',
        call("101", '"+48601222444"', peer="pbx") + "  expect: {rules: [], via: [trunk-a, trunk-b], emergency: false,"
        ' contacts: ["+48601222444@sip.carrier-a.example;q=1.0", "+48601222444@192.0.2.7:5062;q=0.9"]}',
        call("101", '"+48601222444"', peer="pbx") + "  given: {down: [trunk-a]}\n  expect: {via: [trunk-b],"
        ' contacts: ["+48601222444@192.0.2.7:5062;transport=tcp;q=1.0"]}',
        call("101", '"112"', peer="pbx") + "  expect: {emergency: true, via: [trunk-a, trunk-b]}",
        call("101", "700123456", peer="pbx") + "  expect: {rule: premium, reject: 403}",
        call(peer="", at="") + "  expect: {rules: [own person, everybody]}",
    ],
)
def test_words_that_hold(tmp_path: Path, golden: str) -> None:
    assert one(tmp_path, golden) == ()


@pytest.mark.parametrize(
    ("golden", "differences"),
    [
        (
            call() + "  expect: {rules: [everybody], steps: [anna]}",
            [
                "rules: expected [everybody], got [own person, everybody]",
                "steps: expected [anna], got [anna, ivan, olga, queue-sales]",
                "returning was skipped: no binding of this caller",
            ],
        ),
        (
            call(at='"2026-11-22T16:15"') + "  expect: {rules: [own person, everybody]}",
            [
                "rules: expected [own person, everybody], got [everybody]",
                'rule "own person" did not match: schedule office is closed at 2026-11-22 16:15',
            ],
        ),
        (
            call() + '  given: {vip: {"+48601000111": anna}}\n  expect: {rule: everybody}',
            ["rules: expected [everybody], got [vip]", 'rule "everybody" was not reached'],
        ),
        (call() + "  expect: {reject: 403}", ["reject: expected 403, got no rejection"]),
        (call() + "  expect: {emergency: true}", ["emergency: expected true, got false"]),
        (call() + "  expect: {via: [trunk-a]}", ["via: expected [trunk-a], got []"]),
        (
            call() + '  given: {busy: [anna, ivan, olga]}\n  expect: {contacts: ["600@pbx.example.pl;q=1.0"]}',
            ["contacts: expected [600@pbx.example.pl;q=1.0], got [601@pbx.example.pl;q=1.0]"],
        ),
    ],
)
def test_differences_are_readable(tmp_path: Path, golden: str, differences: list[str]) -> None:
    assert list(one(tmp_path, golden)) == differences


@pytest.mark.parametrize(
    ("golden", "place", "message"),
    [
        ("call: 1", "1:1", "a list of golden calls is expected"),
        (f"- {CALL}", "1:3", '"expect" is missing'),
        (f"- {CALL}\n  expect: {{rules: [everbody]}}", "2:20", 'unknown rule "everbody"; did you mean "everybody"?'),
        (f"- {CALL}\n  expct: {{}}\n  expect: {{reject: 403}}", "2:3", 'unknown key "expct"'),
        (
            f"- {CALL}\n  given: {{busy: [ana]}}\n  expect: {{reject: 403}}",
            "2:18",
            'unknown agent "ana"; did you mean "anna"?',
        ),
        (f"- {CALL}\n  expect: {{steps: [{{group: sales}}]}}", "2:20", "a step is expected here"),
        (call(at='"2026-03-29T02:30"') + "  expect: {reject: 403}", "1:", "the clocks skip it"),
        (call(at="tomorrow") + "  expect: {reject: 403}", "1:", '"tomorrow" is no time'),
        (call(peer="trunk-c") + "  expect: {reject: 403}", "1:", 'unknown peer "trunk-c"'),
        (f"- {CALL}\n  given: {{idle: {{anna: 5}}}}\n  expect: {{reject: 403}}", "2:24", '"5" has no unit'),
        (
            f"- {CALL}\n  given: {{targets: {{blakc: anna}}}}\n  expect: {{reject: 403}}",
            "2:21",
            "is neither a list nor",
        ),
        (f"- {CALL}\n  expect: {{rule: vip, rules: [vip]}}", "2:23", 'beside "rule"'),
    ],
)
def test_problems_have_their_place(tmp_path: Path, golden: str, place: str, message: str) -> None:
    _, problems = load(tmp_path, golden)
    assert has_errors(problems)
    assert f"calls.yaml:{place}" in str(problems[0])
    assert message in str(problems[0])


def test_a_step_left_out_for_a_later_sticky_step_may_be_named_or_not(tmp_path: Path) -> None:
    """S1.8: the global rule matched, but gave nothing."""
    for rules in ("[own person, own too]", "[own too]"):
        configure(tmp_path, call() + f"  expect: {{rules: {rules}, steps: [queue-main]}}")
        more = "  - {name: own too, route: [{sticky: shop}]}\noutgoing:"
        (tmp_path / "rules" / "rules.yaml").write_text(
            RULES.replace("outgoing:", more).replace("  - {name: everybody", "  - {name: nobody, when: {peer: pbx}")
            .replace(", route: [{group: sales, order: longest-idle}, {to: queue-sales}]}", ", reject: 480}")
        )  # fmt: skip
        settings, _ = load_settings(tmp_path / "sipacr.yaml")
        assert settings is not None
        ruleset, problems = load_rules(settings.rules, settings)
        assert ruleset is not None, problems
        calls, _ = load_golden(settings.rules / "tests", ruleset, settings.directory)
        assert run(Engine(ruleset, settings.directory, Regions.load()), calls[0]).passed


def test_no_folder_is_no_problem(tmp_path: Path) -> None:
    configure(tmp_path, "")
    settings, _ = load_settings(tmp_path / "sipacr.yaml")
    assert settings is not None
    ruleset, _ = load_rules(settings.rules, settings)
    assert ruleset is not None
    assert load_golden(tmp_path / "nowhere", ruleset, settings.directory) == ([], [])
