"""The commands that read call records: export, purge, why, report, replay, explain of a past call, export and forget."""

import csv
import io
import json
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from records import HOUR, NOON, ONE, THREE, TWO, call_in, call_out, leg, number, talked
from test_cli_data import Shell

from sipacr.memory.report import NotTried, Report
from sipacr.store import Database, records

DAY = ("--since", "2026-11-23", "--until", "2026-11-23")
OF = (*DAY, "--profile", "campaign")
BUSY = (leg("sticky campaign", "anna", NOON + HOUR, 0.5, outcome="busy", code=486, address="101@pbx"),)
CALLS = (
    call_out("o1", agent="anna"),
    call_in(
        "c1",
        at=NOON + HOUR,
        **talked("ivan", NOON + HOUR),
        legs=(*BUSY, leg("group sales", "ivan", NOON + HOUR + 0.5, 64.5, outcome="answered", code=200)),
        rules=("own person first",),
        position="rules.yaml:5:3",
        version="abc",
        caller=number(ONE)._replace(raw="601000111"),
    ),
    call_in("c2", at=NOON + 2 * HOUR, **talked("anna", NOON + 2 * HOUR)),
    call_in(
        "c3", TWO, NOON + 3 * HOUR, not_tried=(NotTried("sticky campaign", "campaign", "no binding of this caller"),)
    ),
)


def keep(shell: Shell, reports: Iterable[Report]) -> None:
    with Database(shell.store) as database, database.transaction() as connection:
        for report in reports:
            records.write(connection, report)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    made = Shell(tmp_path)
    keep(made, CALLS)
    return made


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


class TestExport:
    def test_csv_has_a_line_for_each_call(self, shell: Shell) -> None:
        found = rows(shell.ok("records", "export", *DAY).stdout)
        assert [line["uid"] for line in found] == ["o1", "c1", "c2", "c3"]
        assert found[1]["started"] == "2026-11-23T12:00:00.000+00:00"
        assert found[1]["caller_raw"] == "601000111"
        assert found[1]["tried"] == "anna: busy 486; ivan: answered 200"
        assert found[1]["binding"] == "sticky campaign named anna: busy (486)"
        assert found[1]["talk"] == "60.0"

    def test_a_line_for_each_attempt(self, shell: Shell) -> None:
        found = rows(shell.ok("records", "export", *DAY, "--attempts").stdout)
        assert [(line["uid"], line["attempt"], line["target"]) for line in found] == [
            ("o1", "1", "trunk-a"), ("c1", "1", "anna"), ("c1", "2", "ivan"),
        ]  # fmt: skip

    def test_json_lines_have_everything(self, shell: Shell, tmp_path: Path) -> None:
        file = tmp_path / "calls.jsonl"
        result = shell.ok("records", "export", *DAY, "--format", "jsonl", "--output", str(file))
        assert result.stderr == f"{file}: 4 calls\n"
        found = [json.loads(line) for line in file.read_text().splitlines()]
        assert found[1]["legs"][0]["outcome"] == "busy"
        assert found[1]["talks"] == [
            {"agent": "ivan", "who": "ivan", "since": "2026-11-23T12:00:05.000+00:00", "until": "2026-11-23T12:01:05.000+00:00"}
        ]  # fmt: skip
        assert found[3]["not_tried"][0]["reason"] == "no binding of this caller"

    def test_nothing_to_export(self, shell: Shell) -> None:
        assert "there are no records from 2026-11-24" in shell.no(
            1, "records", "export", "--since", "2026-11-24", "--until", "2026-11-24"
        )


def test_purge_keeps_what_is_to_be_kept(shell: Shell) -> None:
    shell.config.write_text(shell.config.read_text() + "keep: {records: 30d, bindings: 30d}\n")
    now = time.time()
    with Database(shell.store) as database, database.transaction() as connection:
        for table in ("records",):
            connection.execute(f"DELETE FROM {table}")
        for uid, at in (("old", now - 31 * 86400), ("new", now - 29 * 86400)):
            records.write(connection, call_in(uid, at=at))
            connection.execute(
                "INSERT INTO bindings (customer, profile, agent, made) VALUES (?, 'p', 'anna', ?)", (uid, at)
            )
    for words, said in ((("--dry-run",), "would go"), ((), "have gone")):
        assert shell.ok("records", "purge", *words).stdout == f"1 records and 1 bindings {said}\n"
    with Database(shell.store) as database:
        assert database.connection.execute("SELECT uid FROM records").fetchall() == [("new",)]
        assert database.connection.execute("SELECT customer FROM bindings").fetchall() == [("new",)]


class TestWhy:
    def test_of_a_call(self, shell: Shell) -> None:
        assert shell.ok("why", "c1@198.51.100.1").stdout.splitlines() == [
            'Mon 2026-11-23 13:00:00 CET: +48601000111 (written "601000111") called +48221112233 (Shop A) over trunk-a',
            "  rules: own person first  [rules.yaml:5:3], rule set abc",
            "  sticky campaign named anna: busy (486)",
            "  13:00:00 anna (sticky campaign, 101@pbx) was called: busy (486)",
            "  13:00:00 ivan (group sales, ivan@pbx) was called: answered (200)",
            "  13:00:05 ivan talked with the customer for 60 s",
            "  13:01:05 the end: answered (200); the caller hung up",
        ]

    def test_of_a_customer_the_newest_first(self, shell: Shell) -> None:
        said = shell.ok("why", "601 000 111", "--last", "2").stdout
        assert [line[:23] for line in said.splitlines() if line.startswith("Mon")] == [
            "Mon 2026-11-23 14:00:00", "Mon 2026-11-23 13:00:00",
        ]  # fmt: skip
        assert "sticky campaign was not used: no binding of this caller" in shell.ok("why", TWO).stdout

    def test_as_json(self, shell: Shell) -> None:
        (found,) = json.loads(shell.ok("why", "c1", "--json").stdout)
        assert found["rules"] == ["own person first"]

    def test_of_an_outgoing_call(self, shell: Shell) -> None:
        assert "anna (101) called +48601000111 over pbx" in shell.ok("why", "o1").stdout

    def test_of_nobody(self, shell: Shell) -> None:
        assert "no record of +48601000333 is kept" in shell.no(1, "why", THREE)
        assert "no record of xyz is kept" in shell.no(1, "why", "xyz")


class TestReport:
    def test_totals(self, shell: Shell) -> None:
        assert shell.ok("report", "callbacks", *OF).stdout.splitlines() == [
            "profile   agent  contacts  talked  bound  returns  got  others  nobody",
            "campaign  anna   1         0       1      2        1    1       0",
        ]

    def test_each_contact_and_return_call(self, shell: Shell) -> None:
        found = rows(shell.ok("report", "callbacks", *OF, "--csv").stdout)
        assert [(line["contact_uid"], line["return_uid"], line["got_by"], line["why_not"]) for line in found] == [
            ("o1", "c1", "ivan", "was busy"), ("o1", "c2", "anna", ""),
        ]  # fmt: skip
        assert found[0]["bound_until"] == "2026-11-23T13:00:15.000+00:00"  # known after 10 s: vipex-2 ends
        assert found[0]["ended_because"] == "they talked"

    def test_as_json(self, shell: Shell) -> None:
        found = json.loads(shell.ok("report", "callbacks", *OF, "--json").stdout)
        assert found["totals"][0]["got"] == 1
        assert [each["why_not"] for each in found["contacts"][0]["returns"]] == ["was busy", ""]

    def test_of_one_agent(self, shell: Shell) -> None:
        keep(shell, [call_out("o2", THREE, agent="ivan")])
        found = rows(shell.ok("report", "callbacks", *OF, "--agent", "ivan", "--csv").stdout)
        assert [line["agent"] for line in found] == ["ivan"]
        assert "no contacts of olga" in shell.no(1, "report", "callbacks", *OF, "--agent", "olga")

    def test_by_all_profiles_that_learn_from_outgoing_calls(self, shell: Shell) -> None:
        found = rows(shell.ok("report", "callbacks", *DAY, "--csv").stdout)
        assert [(line["profile"], line["return_uid"], line["ended_because"]) for line in found] == [
            ("returning", "c1", ""),  # anna has talked with him later
            ("campaign", "c1", "they talked"),
            ("campaign", "c2", "they talked"),
        ]

    def test_of_an_unknown_profile(self, shell: Shell) -> None:
        said = shell.no(2, "report", "callbacks", *DAY, "--profile", "campaing")
        assert 'no sticky profile "campaing" (did you mean "campaign"?)' in said

    def test_a_binding_from_before_counts_when_its_contact_does(self, shell: Shell) -> None:
        said = shell.no(1, "report", "callbacks", "--since", "2026-11-24", "--until", "2026-11-24")
        assert "no contacts" in said


class TestReplay:
    def test_which_calls_would_go_elsewhere(self, shell: Shell) -> None:
        other = shell.folder / "other"
        other.mkdir()
        (other / "rules.yaml").write_text(
            (shell.folder / "rules" / "rules.yaml").read_text().replace(
                "rules:\n", f'rules:\n  - {{name: two, when: {{caller: "{TWO}"}}, route: [{{agent: ivan}}]}}\n'
            )
        )  # fmt: skip
        words = ("replay", "--rules", str(other), *DAY)
        assert shell.ok(*words).stdout.splitlines() == [
            "4 calls: 1 would go elsewhere (25.0%)",
            "        1  queue  ->  ivan, then queue",
            "           such as +48601000222 -> +48221112233, 2026-11-23 15:00+01:00",
        ]
        assert [line["call_id"] for line in rows(shell.ok(*words, "--csv").stdout)] == ["c3@198.51.100.1"]
        assert json.loads(shell.ok(*words, "--json").stdout)["ways"][0]["calls"] == 1

    def test_a_rule_that_changes_nothing_for_anybody(self, shell: Shell) -> None:
        other = shell.folder / "other"
        other.mkdir()
        text = (shell.folder / "rules" / "rules.yaml").read_text()
        (other / "rules.yaml").write_text(
            text.replace("when: {caller: {vip: true}}, ", "").replace("name: VIP", "name: all")
        )
        assert shell.ok("replay", "--rules", str(other), *DAY).stdout == "4 calls: 0 would go elsewhere (0.0%)\n"

    def test_broken_rules(self, shell: Shell) -> None:
        other = shell.folder / "other"
        other.mkdir()
        (other / "rules.yaml").write_text("rulez: []\n")
        assert "rulez" in shell.no(2, "replay", "--rules", str(other), *DAY)

    def test_no_records(self, shell: Shell) -> None:
        words = ("--since", "2026-11-24", "--until", "2026-11-24")
        assert "no relayed calls" in shell.no(1, "replay", "--rules", str(shell.folder / "rules"), *words)


class TestExplain:
    def test_a_past_call_with_the_bindings_of_its_time(self, shell: Shell) -> None:
        shell.file("rules/more.yaml", "rules:\n  - {name: own, route: [{sticky: campaign}, {to: queue}]}\n")
        assert "step sticky campaign: anna (101@pbx)" in shell.ok("explain", "--call-id", "c1").stdout
        keep(shell, [call_in("c9", at=NOON + 4 * HOUR)])
        after = shell.ok("explain", "--call-id", "c9").stdout  # anna has talked with him at 14:00
        assert "campaign skipped: no binding of this caller" in after
        assert "Mon 2026-11-23 16:00:00 CET" in after

    def test_of_nothing(self, shell: Shell) -> None:
        assert "no record of xyz" in shell.no(1, "explain", "--call-id", "xyz")
        assert "who calls whom?" in shell.no(2, "explain", ONE)


class TestPrivacy:
    def test_everything_is_given_out_and_deleted(self, shell: Shell) -> None:
        for words in (("vip", "add", ONE, "anna"), ("list", "add", "white", ONE), ("shared", "add", ONE)):
            shell.ok(*words, "--by", "maria")
        shell.ok("sticky", "set", "returning", ONE, "anna", "--by", "maria")
        shell.ok("vip", "add", TWO, "ivan", "--by", "maria")
        found = json.loads(shell.ok("export", ONE).stdout)
        assert [len(found[what]) for what in ("records", "bindings", "lists", "vip", "shared", "changes")] == [
            3,
            1,
            1,
            1,
            1,
            4,
        ]
        counts = "3 call records, 1 bindings, 1 list entries, 1 VIP rows, 1 marks as shared, 4 changes by hand"
        assert shell.ok("forget", ONE, "--dry-run").stdout == f"{ONE}: {counts} would be deleted\n"
        assert shell.ok("forget", "601000111", "--yes", "--by", "maria").stdout.endswith(f"{counts} deleted\n")
        assert "nothing is kept" in shell.no(1, "export", ONE)
        assert "nothing is kept" in shell.no(1, "forget", ONE, "--yes")
        assert len(json.loads(shell.ok("export", TWO).stdout)["records"]) == 1
        with Database(shell.store) as database:
            rest = database.connection.execute(
                "SELECT by, what, key, old FROM changes WHERE what = 'forget'"
            ).fetchall()
            assert [row[:3] for row in rest] == [("maria", "forget", "")]
            assert json.loads(rest[0][3])["call records"] == 3
        for end in ("", "-wal"):
            file = Path(f"{shell.store}{end}")
            assert not file.exists() or ONE.encode() not in file.read_bytes()  # overwritten, not merely unlinked

    def test_it_asks_first(self, shell: Shell) -> None:
        assert shell.run("forget", ONE, stdin="n\n").exit_code == 1
        assert len(json.loads(shell.ok("export", ONE).stdout)["records"]) == 3

    def test_to_a_file(self, shell: Shell, tmp_path: Path) -> None:
        shell.ok("export", ONE, "--output", str(tmp_path / "one.json"))
        assert json.loads((tmp_path / "one.json").read_text())["number"] == ONE


def test_backup(shell: Shell, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    assert shell.ok("backup", str(target)).stdout == f"{target}: {target.stat().st_size:,} bytes\n"
    assert "the store itself" in shell.no(2, "backup", str(shell.store))
    with Database(target) as copy:
        assert copy.connection.execute("SELECT count(*) FROM records").fetchone() == (4,)
    assert shell.no(3, "backup", str(tmp_path / "nowhere" / "copy.db"))
