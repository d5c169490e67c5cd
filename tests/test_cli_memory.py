"""The commands of the memory: learn import, sticky rebuild, agent, shared suggestions."""

import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from records import DAY, HOUR, ONE, THREE, TWO, call_in, call_out, talked
from test_cli_data import Shell

from sipacr.memory.report import Report
from sipacr.store import Database, Reader, records

HEADER = "time,direction,customer,agent,answered,talk,uid\n"
START = time.time() - DAY


def at(seconds: float) -> str:
    return str(round(START + seconds))


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def keep(shell: Shell, reports: Iterable[Report]) -> None:
    with Database(shell.store) as database, database.transaction() as connection:
        for report in reports:
            records.write(connection, report)


def bound(shell: Shell, profile: str = "returning") -> list[tuple[str, str]]:
    with sqlite3.connect(shell.store) as connection:
        sql = "SELECT customer, agent FROM bindings WHERE profile = ? ORDER BY customer, agent"
        return list(connection.execute(sql, (profile,)))


class TestImport:
    def test_calls_are_learned_by_their_own_time_and_once(self, shell: Shell) -> None:
        lines = (
            f"{at(7200)},in,601000111,ivan,yes,60,b.2\n"  # the later one stands first
            f"{at(0)},in,601000111,101,yes,60,b.1\n"
            f"{at(60)},out,601000222,anna,no,0,b.3\n"
        )
        path = shell.file("calls.csv", HEADER + lines)
        assert "3 lines: 3 new" in shell.ok("learn", "import", path).stdout
        assert bound(shell) == [(ONE, "anna"), (ONE, "ivan"), (TWO, "anna")]
        assert bound(shell, "campaign") == [(TWO, "anna")]
        before = shell.json("sticky", "show", "returning")
        assert "3 lines: 3 unchanged" in shell.ok("learn", "import", path).stdout
        assert shell.json("sticky", "show", "returning") == before

    def test_another_order_of_files_gives_the_same(self, shell: Shell, tmp_path: Path) -> None:
        calls = [
            f"{at(0)},out,601000111,anna,no,0,c.1\n",
            f"{at(600)},in,601000111,anna,yes,60,c.2\n",  # they talk: vipex-2 ends
            f"{at(1200)},out,601000111,anna,busy,0,c.3\n",
        ]
        (tmp_path / "other").mkdir()
        other = Shell(tmp_path / "other")
        for which, order in ((shell, calls), (other, calls[::-1])):
            for line in order:
                which.ok("learn", "import", "-", stdin=HEADER + line)
        for profile in ("returning", "campaign"):
            assert shell.json("sticky", "show", profile) == other.json("sticky", "show", profile)

    def test_a_corrected_call_takes_its_earlier_customers_row_away(self, shell: Shell) -> None:
        shell.ok("learn", "import", "-", stdin=f"{HEADER}{at(0)},in,601000111,anna,yes,60,d.1\n")
        assert (
            "1 changed"
            in shell.ok("learn", "import", "-", stdin=f"{HEADER}{at(0)},in,601000222,anna,yes,60,d.1\n").stdout
        )
        assert bound(shell) == [(TWO, "anna")]

    def test_a_spreadsheet_of_any_order_with_a_mark_and_semicolons(self, shell: Shell) -> None:
        text = f"UniqueID;Disposition;Agent;BillSec;Phone;Call direction;Start;x\r\ne.1;ANSWERED;101;1:00;601 000 111;Inbound;{at(0)};?\r\n"
        result = shell.ok("learn", "import", shell.file("calls.csv", b"\xef\xbb\xbf" + text.encode()))
        assert "ignored columns: x" in result.stderr
        assert bound(shell) == [(ONE, "anna")]

    def test_nothing_is_written_if_a_line_is_refused(self, shell: Shell) -> None:
        path = shell.file(
            "calls.csv",
            f"{HEADER}{at(0)},in,601000111,anna,yes,60,f.1\n{at(0)},up,601000111,anna,yes,60,f.2\n",
        )
        said = shell.no(2, "learn", "import", path)
        assert "calls.csv:3: refused: direction 'up'" in said
        assert not shell.store.exists()
        said = shell.no(1, "learn", "import", path, "--skip-refused")
        assert bound(shell) == [(ONE, "anna")]

    def test_a_dry_run(self, shell: Shell) -> None:
        text = f"{HEADER}{at(0)},in,601000111,anna,yes,60,g.1\n"
        assert "nothing was written" in shell.ok("learn", "import", "-", "--dry-run", stdin=text).stdout
        assert not shell.store.exists()

    def test_who_is_never_a_customer(self, shell: Shell) -> None:
        shell.ok("shared", "add", TWO)
        lines = "".join(
            f"{at(0)},in,{number},anna,yes,60,h.{index}\n"
            for index, number in enumerate(("anonymous", "102", "+48221112233", TWO))
        )
        shell.ok("learn", "import", "-", stdin=HEADER + lines)
        assert bound(shell) == []


class TestRebuild:
    def test_a_new_profile_is_filled_and_what_was_set_by_hand_stays(self, shell: Shell) -> None:
        now = time.time()
        keep(
            shell,
            [
                call_out("o1", at=now - 3 * HOUR),
                call_in("c1", TWO, now - 2 * HOUR, **talked("ivan", now - 2 * HOUR)),
                call_in("c2", THREE, now - 2 * HOUR),
            ],
        )
        shell.ok("sticky", "set", "returning", ONE, "ivan")
        shell.ok("sticky", "set", "returning", "+48601000999", "ivan")
        said = shell.ok("sticky", "rebuild", "returning").stdout
        assert said == "returning: 3 customers with records: 2 bindings written, 0 dropped, 1 set by hand stay\n"
        assert bound(shell) == [(ONE, "anna"), (ONE, "ivan"), (TWO, "ivan"), ("+48601000999", "ivan")]
        assert "0 bindings written, 0 dropped" in shell.ok("sticky", "rebuild", "returning").stdout

    def test_a_changed_profile_drops_what_it_would_not_have_made(self, shell: Shell) -> None:
        now = time.time()
        keep(shell, [call_out("o1", at=now - 3 * HOUR), call_in("c1", at=now - HOUR, **talked("ivan", now - HOUR))])
        shell.ok("sticky", "rebuild", "returning")
        assert bound(shell) == [(ONE, "anna"), (ONE, "ivan")]
        rules = shell.folder / "rules" / "rules.yaml"
        rules.write_text(rules.read_text().replace("acr-24h", "acr-in"))
        assert "1 dropped" in shell.ok("sticky", "rebuild", "returning").stdout
        assert bound(shell) == [(ONE, "ivan")]

    def test_rows_whose_calls_are_purged_stay(self, shell: Shell) -> None:
        now = time.time()
        keep(shell, [call_out("o1", at=now - 3 * HOUR)])
        shell.ok("sticky", "rebuild", "returning")
        with Database(shell.store) as database:
            database.connection.execute("DELETE FROM records")
        keep(shell, [call_in("c1", at=now - HOUR, **talked("ivan", now - HOUR))])
        shell.ok("sticky", "rebuild", "returning")
        assert bound(shell) == [(ONE, "anna"), (ONE, "ivan")]

    def test_an_unknown_profile(self, shell: Shell) -> None:
        assert 'did you mean "returning"' in shell.no(2, "sticky", "rebuild", "retuning")


class TestAgent:
    def test_who_leaves_and_comes_back(self, shell: Shell) -> None:
        shell.ok("vip", "add", ONE, "anna")
        result = shell.ok("agent", "leave", "anna", "--to", "ivan")
        assert result.stdout == "anna has left; who is bound to him goes to ivan\n"
        assert "1 VIPs still name anna" in result.stderr
        assert [(each.agent, each.until, each.successor) for each in Reader(shell.store, watch=False).absences()] == [
            ("anna", None, "ivan")
        ]
        assert "ivan" in shell.ok("agent", "list").stdout
        assert "has left too" in shell.no(2, "agent", "leave", "ivan", "--to", "anna")
        shell.ok("agent", "leave", "anna")  # to nobody after all
        assert [each.successor for each in Reader(shell.store, watch=False).absences()] == [None]
        assert shell.ok("agent", "back", "anna").stdout == "anna is back\n"
        assert shell.no(1, "agent", "back", "anna").startswith("sipacr: anna is not away")
        assert shell.no(1, "agent", "list") == "sipacr: nobody is away\n"

    def test_a_holiday(self, shell: Shell) -> None:
        shell.ok("agent", "holiday", "anna", "2096-08-01", "2096-08-14")
        assert "will be on leave" in shell.ok("agent", "list").stdout
        shell.no(1, "agent", "back", "anna")
        shell.no(2, "agent", "holiday", "anna", "2096-08-14", "2096-08-01")
        shell.no(2, "agent", "holiday", "anna", "2020-08-01", "2020-08-14")

    def test_agents_whom_nobody_knows(self, shell: Shell) -> None:
        assert 'no agent "ana" (did you mean "anna"?)' in shell.no(2, "agent", "leave", "ana")
        shell.ok("sticky", "set", "returning", ONE, "zofia")
        assert '1 bindings name "zofia", whom the rules do not know' in shell.no(1, "agent", "list")


def test_numbers_that_many_agents_talk_with_are_shown(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    now = time.time()
    agents = [f"agent{index}" for index in range(5)]
    keep(shell, [call_in(f"s{a}", ONE, now - HOUR, **talked(a, now - HOUR)) for a in agents])
    keep(shell, [call_in(f"t{a}", TWO, now - HOUR, **talked(a, now - HOUR)) for a in agents[:4]])
    assert shell.json("shared", "suggestions") == [{"number": ONE, "agents": 5, "calls": 5, "names": 0}]
    assert "sipacr shared add" in shell.ok("shared", "suggestions", "--agents", "4").stdout
    shell.ok("shared", "add", ONE)
    shell.no(1, "shared", "suggestions")
