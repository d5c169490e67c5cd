"""The commands of those who keep data, as a person or a script meets them: output, warnings, exit status, records."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sipacr.cli import main
from sipacr.routing.facts import Number
from sipacr.store import Database, Reader

SETTINGS = """
listen: {udp: ["127.0.0.1:5060"]}
numbers: {country: PL, timezone: Europe/Warsaw, own: {"+48221112233": Shop A}}
peers:
  pbx: {role: pbx, address: "10.0.0.5:5060", mode: relay}
  trunk-a: {role: trunk, address: "10.0.0.6:5060", mode: redirect}
destinations: {queue: "600@pbx"}
store: {path: sipacr.db}
"""
RULES = """
agents: {anna: {extension: 101}, ivan: {extension: 102}}
lists: {black: {}, white: {known: true}}
sticky: {returning: {preset: acr-24h}, campaign: {preset: vipex-2, ttl: 3d}}
rules:
  - {name: VIP, when: {caller: {vip: true}}, route: [{vip: true}, {to: queue}]}
fallback: queue
"""
ONE, TWO, THREE = "+48601000111", "+48601000222", "+48601000333"


class Shell:
    """Runs commands on one configuration; `ok` demands status 0."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "sipacr.yaml"
        self.config.write_text(SETTINGS)
        (folder / "rules").mkdir()
        (folder / "rules" / "rules.yaml").write_text(RULES)
        self.store = folder / "sipacr.db"

    def run(self, *words: str, stdin: str | bytes | None = None) -> Result:
        result = CliRunner().invoke(main, ["-c", str(self.config), *words], input=stdin, prog_name="sipacr")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    def ok(self, *words: str, stdin: str | bytes | None = None) -> Result:
        result = self.run(*words, stdin=stdin)
        assert result.exit_code == 0, result.output
        return result

    def no(self, status: int, *words: str, stdin: str | bytes | None = None) -> str:
        result = self.run(*words, stdin=stdin)
        assert result.exit_code == status, result.output
        return result.stderr

    def json(self, *words: str) -> object:
        return json.loads(self.ok(*words, "--json").stdout)

    def file(self, name: str, content: str | bytes) -> str:
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def vips(self) -> dict[str, str]:
        with sqlite3.connect(self.store) as connection:
            return dict(connection.execute("SELECT customer, agent FROM vips"))


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


class TestVip:
    def test_add_says_how_the_number_was_read(self, shell: Shell) -> None:
        assert (
            shell.ok("vip", "add", "601 000 111", "anna").stdout == f"{ONE} ('601 000 111' as a number of PL): anna\n"
        )
        assert shell.ok("vip", "add", TWO, "anna").stdout == f"{TWO}: anna\n"
        assert shell.ok("vip", "add", "1234", "anna").stdout == (
            "1234 (kept as it is: no telephone number in PL): anna\n"
        )
        assert shell.vips() == {ONE: "anna", TWO: "anna", "1234": "anna"}

    def test_the_running_router_sees_it_at_once(self, shell: Shell) -> None:
        Database(shell.store).close()
        router = Reader(shell.store, watch=False)
        assert router.vip(ONE) is None
        shell.ok("vip", "add", ONE, "anna")
        assert router.vip(ONE) == "anna"
        shell.ok("list", "add", "black", "+4870*")
        assert router.list_entry("black", Number("", "+48700100200", "+48700100200"), time.time()) is not None
        shell.ok("shared", "add", ONE)
        assert router.is_shared(ONE)
        shell.ok("sticky", "set", "returning", ONE, "ivan")
        assert [row.agent for row in router.bindings("returning", "", ONE)] == ["ivan"]
        router.close()

    def test_add_does_not_overwrite_and_set_does(self, shell: Shell) -> None:
        shell.ok("vip", "add", ONE, "anna", "--note", "ACME")
        assert "no change" in shell.ok("vip", "add", ONE, "anna").stdout
        assert f"already; to change that: sipacr vip set {ONE} ivan" in shell.no(1, "vip", "add", ONE, "ivan")
        assert shell.ok("vip", "set", ONE, "ivan").stdout == f"{ONE}: ivan (before: anna)\n"
        assert shell.json("vip", "show", ONE)["note"] == "ACME"  # type: ignore[index]

    def test_changes_are_recorded_with_who_and_what(self, shell: Shell) -> None:
        shell.ok("vip", "add", ONE, "anna", "--by", "olga")
        shell.ok("vip", "set", ONE, "ivan", "--note", "ACME", "--by", "Jan K.")
        shell.ok("vip", "remove", ONE)
        result = shell.run("vip", "show", ONE, "--history", "--json")
        assert result.exit_code == 1
        shown = json.loads(result.stdout)
        told = [(change["by"], change["old"], change["new"]) for change in shown["history"]]
        assert told[1:] == [
            ("Jan K.", {"agent": "anna"}, {"agent": "ivan", "note": "ACME"}),
            ("olga", None, {"agent": "anna"}),
        ]
        assert told[0][1:] == ({"agent": "ivan", "note": "ACME"}, None)
        assert told[0][0]

    def test_show_and_find(self, shell: Shell) -> None:
        shell.ok("vip", "add", ONE, "anna", "--note", "Łódź Trade")
        shell.ok("vip", "add", TWO, "ivan")
        assert "agent:        anna" in shell.ok("vip", "show", "601000111").stdout
        assert [row["number"] for row in shell.json("vip", "show")] == [ONE, TWO]  # type: ignore[attr-defined]
        for text in ("łódź", "601 000 111", "1000111", "ANNA"):
            found = shell.json("vip", "find", text)
            assert [row["number"] for row in found] == [ONE], text  # type: ignore[attr-defined]
        assert "no VIP whose number, agent or note holds 'zzz'" in shell.no(1, "vip", "find", "zzz")
        assert "is no VIP; to search: sipacr vip find" in shell.no(1, "vip", "show", THREE)

    def test_remove(self, shell: Shell) -> None:
        shell.ok("vip", "add", ONE, "anna")
        assert shell.ok("vip", "remove", "601000111").stdout.endswith("removed (was anna's)\n")
        assert shell.vips() == {}
        assert "is no VIP" in shell.no(1, "vip", "remove", ONE)

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("anna", "601000111"), "the customer's number comes first"),
            (("+12", "anna"), "is no telephone number, although it begins with +"),
            (("4.8601E+10", "anna"), "the spreadsheet has shortened"),
            ((" ", "anna"), "the number has no number"),
            ((ONE, " "), "then the agent's name"),
        ],
    )
    def test_what_is_refused(self, shell: Shell, words: tuple[str, str], message: str) -> None:
        assert message in shell.no(2, "vip", "add", *words)
        assert not shell.store.exists()

    def test_warnings_do_not_refuse(self, shell: Shell) -> None:
        told = shell.ok("vip", "add", ONE, "anan").stderr
        assert 'the rules name no agent "anan" (did you mean "anna"?)' in told
        assert "one of your own numbers" in shell.ok("vip", "add", "221112233", "anna").stderr
        shell.ok("list", "add", "black", "+48602*")
        told = shell.ok("vip", "add", "602000111", "anna").stderr
        assert "+48602000111 is a VIP and on the list black (entry +48602*)" in told

    def test_broken_rules_do_not_stop_the_sales_lead(self, shell: Shell) -> None:
        (shell.folder / "rules" / "rules.yaml").write_text("rules: [")
        told = shell.ok("vip", "add", ONE, "anan").stderr
        assert "the rules have errors" in told
        assert shell.vips() == {ONE: "anan"}


class TestImport:
    def test_a_spreadsheet_of_the_sales_lead(self, shell: Shell) -> None:
        data = "\ufeffName;Employee;Phone number;City\r\n"
        data += "Łódź Trade;anna;48601000111;Łódź\r\n"  # the plus was lost
        data += '"A; B";ivan;"601 000 222";\r\n'
        data += ";anna;0048 601 000 333;\r\n\r\n"
        result = shell.ok("vip", "import", shell.file("vips.csv", data))
        assert "vips.csv: 3 lines: 3 added" in result.stdout
        assert "ignored columns: City" in result.stderr
        assert shell.vips() == {ONE: "anna", TWO: "ivan", THREE: "anna"}
        assert shell.json("vip", "show", TWO)["note"] == "A; B"  # type: ignore[index]

    def test_every_line_is_checked_before_anything_is_written(self, shell: Shell) -> None:
        shell.ok("vip", "add", ONE, "anna")
        data = f"number,agent\n{TWO},anna\n4.8601E+10,anna\n,anna\n{THREE},\nSmith,anna\n{TWO},ivan\n{THREE},ivan,x\n"
        told = shell.no(2, "vip", "import", shell.file("vips.csv", data))
        for line, reason in (
            (3, "4.8601E+10 is a number that the spreadsheet has shortened"),
            (4, "has no number"),
            (5, "has no agent"),
            (6, "'Smith' is no telephone number"),
            (7, f"{TWO} is on line 2 already, with other values"),
            (8, "has 3 fields, the header 2"),
        ):
            assert f"vips.csv:{line}: refused: {reason}" in told
        assert "nothing was written: 6 of 7 lines are refused" in told
        assert "--skip-refused" in told
        assert shell.vips() == {ONE: "anna"}

    def test_the_others_can_be_imported(self, shell: Shell) -> None:
        data = f"number,agent\n{ONE},anna\nSmith,anna\n"
        result = shell.run("vip", "import", "--skip-refused", shell.file("vips.csv", data))
        assert result.exit_code == 1
        assert "1 added, 1 refused" in result.stdout
        assert shell.vips() == {ONE: "anna"}

    def test_what_is_there_is_changed_and_what_is_not_named_stays(self, shell: Shell) -> None:
        shell.ok("vip", "add", ONE, "anna", "--note", "kept")
        shell.ok("vip", "add", TWO, "anna")
        result = shell.ok("vip", "import", shell.file("a.csv", f"number,agent\n{ONE},ivan\n{THREE},anna\n"))
        assert "1 added, 1 changed" in result.stdout
        assert shell.json("vip", "show", ONE)["note"] == "kept"  # type: ignore[index]
        assert shell.vips() == {ONE: "ivan", TWO: "anna", THREE: "anna"}

    def test_replace(self, shell: Shell) -> None:
        shell.ok("vip", "add", ONE, "anna")
        shell.ok("vip", "add", TWO, "anna")
        csv = shell.file("a.csv", f"number,agent\n{ONE},anna\n{THREE},anna\n")
        dry = shell.ok("vip", "import", "--replace", "--dry-run", csv).stdout
        assert "1 added, 1 unchanged, 1 removed; nothing was written (--dry-run)" in dry
        assert set(shell.vips()) == {ONE, TWO}
        assert "1 added, 1 unchanged, 1 removed" in shell.ok("vip", "import", "--replace", csv).stdout
        assert set(shell.vips()) == {ONE, THREE}
        assert "no lines: nothing was changed" in shell.no(
            2, "vip", "import", "--replace", shell.file("e.csv", "number,agent\n")
        )
        assert set(shell.vips()) == {ONE, THREE}

    def test_replace_is_of_one_list(self, shell: Shell) -> None:
        shell.ok("list", "add", "black", ONE)
        shell.ok("list", "add", "white", ONE)
        shell.ok("list", "import", "black", "--replace", shell.file("b.csv", f"number\n{TWO}\n"))
        assert [row["number"] for row in shell.json("list", "show", "black")] == [TWO]  # type: ignore[attr-defined]
        assert [row["number"] for row in shell.json("list", "show", "white")] == [ONE]  # type: ignore[attr-defined]

    def test_warnings(self, shell: Shell) -> None:
        shell.ok("list", "add", "black", TWO)
        shell.ok("list", "add", "black", THREE)
        data = f"number,agent\n{ONE},anan\n{TWO},anan\n12345,anna\n{ONE},anan\n"
        told = shell.ok("vip", "import", shell.file("vips.csv", data)).stderr
        assert 'line 2 and 2 more: the rules name no agent "anan" (did you mean "anna"?)' in told
        assert "vips.csv:4: 12345 is kept as it is" in told
        assert "vips.csv:5: the same as line 2" in told
        assert f"{TWO} is a VIP and on the list black" in told
        assert THREE not in told

    def test_json(self, shell: Shell) -> None:
        csv = shell.file("a.csv", f"number,agent\n{ONE},anna\nSmith,anna\n")
        result = shell.run("vip", "import", "--json", csv)
        assert result.exit_code == 2
        told = json.loads(result.stdout)
        assert told["written"] is False
        assert [refusal["line"] for refusal in told["refused"]] == [3]
        assert told["lines"] == 2

    def test_from_standard_input_and_in_another_encoding(self, shell: Shell) -> None:
        data = f"number;agent;note\n{ONE};anna;Łódź\n".encode("cp1250")
        assert "--encoding" in shell.no(2, "vip", "import", "-", stdin=data)
        assert (
            "standard input: 1 lines: 1 added"
            in shell.ok("vip", "import", "-", "--encoding", "cp1250", stdin=data).stdout
        )
        assert shell.json("vip", "show", ONE)["note"] == "Łódź"  # type: ignore[index]

    def test_what_was_exported_can_be_imported(self, shell: Shell) -> None:
        shell.ok("vip", "add", ONE, "anna", "--note", 'Łódź; "A", B\nnew line')
        shell.ok("vip", "add", "1234", "ivan")
        csv = str(shell.folder / "vips.csv")
        shell.ok("vip", "export", csv)
        assert "2 unchanged" in shell.ok("vip", "import", "--replace", csv).stdout
        shell.ok("list", "add", "black", "+4870*", "--note", "x", "--expires", "2099-01-01", "--target", "anna")
        shell.ok("list", "add", "black", ONE)
        shell.ok("list", "export", "black", csv)
        assert "2 unchanged" in shell.ok("list", "import", "black", "--replace", csv).stdout

    def test_it_takes_seconds(self, shell: Shell) -> None:
        data = "number,agent\n" + "".join(f"+4860{index:07},anna\n" for index in range(20_000))
        csv = shell.file("big.csv", data)
        start = time.process_time()
        assert "20000 added" in shell.ok("vip", "import", csv).stdout
        assert time.process_time() - start < 5

    def test_kill_in_the_middle_leaves_the_old_data(self, shell: Shell) -> None:
        shell.ok("vip", "add", ONE, "anna")
        data = "number,agent\n" + "".join(f"+4870{index:07},ivan\n" for index in range(60_000))
        command = [sys.executable, "-m", "sipacr", "-c", str(shell.config), "vip", "import", "--replace"]
        log = Path(f"{shell.store}-wal")
        with subprocess.Popen([*command, shell.file("big.csv", data)], stdout=subprocess.DEVNULL) as importing:
            # Once pages of the open transaction have been spilled into the log, it is in the middle.
            while not log.exists() or log.stat().st_size < 1_000_000:
                assert importing.poll() is None, "it was too fast to be killed"
                time.sleep(0.001)
            importing.send_signal(signal.SIGKILL)
            importing.wait()
        assert shell.vips() == {ONE: "anna"}
        assert shell.json("vip", "show", ONE)["agent"] == "anna"  # type: ignore[index]
        with sqlite3.connect(shell.store) as connection:
            assert connection.execute("SELECT count(*) FROM changes").fetchone() == (1,)
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


class TestList:
    def test_add_set_show_remove(self, shell: Shell) -> None:
        assert shell.ok("list", "add", "black", "601 000 111", "--note", "spam").stdout.startswith(f"black: {ONE} (")
        assert "to change it: sipacr list set black" in shell.no(1, "list", "add", "black", ONE, "--note", "other")
        shell.ok("list", "set", "black", ONE, "--expires", "2099-12-24")
        shown = shell.json("list", "show", "black", "601000111")
        assert shown["note"] == "spam"  # type: ignore[index]
        assert shown["expires"] == "2099-12-24T23:00:00+00:00"  # type: ignore[index]  # that day is over, in Warsaw
        shell.ok("list", "set", "black", ONE, "--expires", "")
        assert shell.json("list", "show", "black", ONE)["expires"] is None  # type: ignore[index]
        shell.ok("list", "remove", "black", ONE)
        assert "is not on the list black" in shell.no(1, "list", "show", "black", ONE)
        assert "is not on the list black" in shell.no(1, "list", "remove", "black", ONE)

    def test_prefixes(self, shell: Shell) -> None:
        shell.ok("list", "add", "black", "+48 70*")
        assert shell.json("list", "show", "black", "700100200")["entry"] == "+4870*"  # type: ignore[index]
        assert shell.no(1, "list", "show", "black", "601000111")
        assert 'did you mean "+48700*"' in shell.ok("list", "add", "black", "0700*").stderr
        for wrong, message in (
            ("*", "would hold every caller"),
            ("+48?00*", "is no prefix"),
            ("*112*", "is no prefix"),
        ):
            assert message in shell.no(2, "list", "add", "black", wrong)

    def test_expired_entries_are_told_and_can_be_added_again(self, shell: Shell) -> None:
        shell.ok("list", "add", "black", ONE, "--expires", "2020-01-01", "--note", "old")
        assert "its entry has expired" in shell.no(1, "list", "show", "black", ONE)
        assert shell.json("list", "show", "black")[0]["state"] == "expired"  # type: ignore[index]
        shell.ok("list", "add", "black", ONE, "--note", "new")
        shown = shell.json("list", "show", "black", ONE)
        assert (shown["note"], shown["expires"]) == ("new", None)  # type: ignore[index]

    def test_overview_and_find(self, shell: Shell) -> None:
        shell.ok("list", "add", "black", ONE, "--note", "spam")
        shell.ok("list", "add", "grey", TWO)
        assert shell.json("list", "show") == [
            {"list": "black", "entries": 1, "declared": "yes"},
            {"list": "white", "entries": 0, "declared": "yes"},
            {"list": "grey", "entries": 1, "declared": "no"},
        ]
        assert [row["list"] for row in shell.json("list", "find", "SPAM")] == ["black"]  # type: ignore[attr-defined]
        shell.ok("list", "add", "grey", "+48601000*")
        holding = shell.json("list", "show", "601000111")
        assert [(row["list"], row["entry"]) for row in holding] == [("black", ONE), ("grey", "+48601000*")]  # type: ignore[attr-defined]
        assert "is on no list" in shell.no(1, "list", "show", "602000111")
        assert "nothing is on the list white" in shell.no(1, "list", "show", "white")
        assert shell.no(1, "list", "find", "zzz")

    def test_warnings(self, shell: Shell) -> None:
        assert 'declare no list "blakc" (did you mean "black"?)' in shell.ok("list", "add", "blakc", ONE).stderr
        assert (
            "is no agent, destination or user@peer" in shell.ok("list", "add", "white", ONE, "--target", "ann").stderr
        )
        for target in ("anna", "queue", "611@pbx"):
            assert shell.ok("list", "set", "white", ONE, "--target", target).stderr == ""
        shell.ok("vip", "add", TWO, "anna")
        assert f"{TWO} is a VIP and on the list black" in shell.ok("list", "add", "black", TWO).stderr

    def test_import(self, shell: Shell) -> None:
        shell.ok("vip", "add", "700100200", "anna")
        data = "Reason;Until;Phone;To\nspam;2099-12-24;601000111;\n;;+4870*;anna\n;;112;nobody\n"
        told = shell.ok("list", "import", "black", shell.file("b.csv", data)).stderr
        assert "+48700100200 is a VIP and on the list black (entry +4870*)" in told
        assert "b.csv:4: 112 is kept as it is" in told
        assert 'b.csv:4: "nobody" is no agent' in told
        assert [row["number"] for row in shell.json("list", "show", "black")] == [ONE, "+4870*", "112"]  # type: ignore[attr-defined]
        told = shell.no(
            2, "list", "import", "black", shell.file("c.csv", "number,expires\n601000222,24.12.2099\nx*y*,\n")
        )
        assert "c.csv:2: refused: '24.12.2099' is no time: write 2026-12-24" in told
        assert "c.csv:3: refused: " in told

    @pytest.mark.parametrize("text", ["tomorrow", "2026-13-01", "30", "99999999d"])
    def test_times_that_are_none(self, shell: Shell, text: str) -> None:
        assert "is no time: write 2026-12-24" in shell.no(2, "list", "add", "black", ONE, "--expires", text)


class TestSticky:
    def test_set_show_forget(self, shell: Shell) -> None:
        told = shell.ok("sticky", "set", "returning", "601000111", "anna", "--at", "2026-11-22T16:30").stdout
        assert told == f"returning: {ONE} ('601000111' as a number of PL): anna, 2026-11-22 16:30+01:00\n"
        told = shell.ok("sticky", "set", "returning", ONE, "ivan", "--at", "2026-11-21T16:30+00:00").stdout
        assert "he has rows with anna too" in told
        shell.ok("sticky", "set", "campaign", ONE, "ivan", "--scope", "221112233", "--at", "2026-11-20")
        shown = shell.json("sticky", "show", ONE)
        assert [(row["profile"], row["agent"], row["made"]) for row in shown] == [  # type: ignore[attr-defined]
            ("campaign", "ivan", "2026-11-19T23:00:00+00:00"),
            ("returning", "anna", "2026-11-22T15:30:00+00:00"),
            ("returning", "ivan", "2026-11-21T16:30:00+00:00"),
        ]
        assert shell.json("sticky", "show") == [{"profile": "campaign", "rows": 1}, {"profile": "returning", "rows": 2}]
        assert len(shell.json("sticky", "show", "returning")) == 2  # type: ignore[arg-type]
        assert len(shell.json("sticky", "show", "campaign", "601000111")) == 1  # type: ignore[arg-type]
        assert "whom to forget?" in shell.no(2, "sticky", "forget", "returning")
        assert shell.ok("sticky", "forget", "returning", ONE, "--agent", "anna").stdout == (
            f"returning: {ONE}: anna forgotten\n"
        )
        assert len(shell.ok("sticky", "forget", "601000111").stdout.splitlines()) == 2
        assert "nothing is remembered of" in shell.no(1, "sticky", "forget", ONE)
        assert "nothing is remembered of" in shell.no(1, "sticky", "show", ONE)

    def test_the_state_is_that_of_the_profile(self, shell: Shell) -> None:
        shell.ok("sticky", "set", "returning", ONE, "anna")
        shell.ok("sticky", "set", "returning", TWO, "anna", "--at", "2020-01-01")
        shell.ok("sticky", "set", "unknown", THREE, "anna")
        rows = [*shell.json("sticky", "show", "returning"), *shell.json("sticky", "show", "unknown")]  # type: ignore[misc]
        assert [row["state"] for row in rows] == ["live", "expired", ""]
        assert rows[1]["live_until"] == "2020-01-01T23:00:00+00:00"

    def test_setting_again_restarts_the_row(self, shell: Shell) -> None:
        with Database(shell.store) as store, store.transaction() as connection:
            connection.execute(
                "INSERT INTO bindings (customer, profile, agent, made, conversation, in_progress) "
                f"VALUES ('{ONE}', 'returning', 'anna', 1, 2e9, 1)"
            )
        shell.ok("sticky", "set", "returning", ONE, "anna", "--at", "2026-11-20")
        row = shell.json("sticky", "show", ONE)[0]  # type: ignore[index]
        assert (row["made"], row["conversation"]) == ("2026-11-19T23:00:00+00:00", None)

    def test_what_is_refused_or_warned_of(self, shell: Shell) -> None:
        assert "lies in the future" in shell.no(2, "sticky", "set", "returning", ONE, "anna", "--at", "2099-01-01")
        skipped = shell.no(2, "sticky", "set", "returning", ONE, "anna", "--at", "2026-03-29T02:30")
        assert "does not exist in Europe/Warsaw: the clocks skip that hour" in skipped
        told = shell.ok("sticky", "set", "returnin", ONE, "anan").stderr
        assert 'no sticky profile "returnin" (did you mean "returning"?)' in told
        assert 'no agent "anan"' in told

    def test_import(self, shell: Shell) -> None:
        data = "Agent;Customer;At;in_answered;profile\n"
        data += "anna;601000111;2026-11-20 10:00;2026-11-21T10:00;returning\n"
        data += "ivan;601000222;;;\n"
        told = shell.no(2, "sticky", "import", shell.file("s.csv", data))
        assert "s.csv:3: refused: has no profile: add the column, or name it for all lines with --profile" in told
        shell.ok("sticky", "import", "--profile", "campaign", shell.file("s.csv", data))
        one = shell.json("sticky", "show", ONE)[0]  # type: ignore[index]
        assert (one["profile"], one["made"], one["in_answered"]) == (
            "returning",
            "2026-11-20T09:00:00+00:00",
            "2026-11-21T09:00:00+00:00",
        )
        assert shell.json("sticky", "show", TWO)[0]["profile"] == "campaign"  # type: ignore[index]
        told = shell.no(
            2, "sticky", "import", shell.file("t.csv", f"profile,customer,agent,at\nx,{ONE},anna,2099-01-01\n")
        )
        assert "t.csv:2: refused: 2099-01-01 lies in the future" in told

    def test_import_keeps_what_the_router_learned_since(self, shell: Shell) -> None:
        with Database(shell.store) as store, store.transaction() as connection:
            connection.execute(
                "INSERT INTO bindings (customer, profile, agent, made, conversation) "
                f"VALUES ('{ONE}', 'returning', 'anna', 1795300000, 1795300000)"
            )
        csv = shell.file("s.csv", f"profile,customer,agent,at\nreturning,{ONE},anna,2026-11-01\n")
        shell.ok("sticky", "import", csv)
        assert shell.json("sticky", "show", ONE)[0]["conversation"] is not None  # type: ignore[index]


class TestShared:
    def test_add_show_remove(self, shell: Shell) -> None:
        assert "shared" in shell.ok("shared", "add", "221234567", "--note", "ACME").stdout
        assert shell.json("shared", "show", "221234567")["note"] == "ACME"  # type: ignore[index]
        assert [row["number"] for row in shell.json("shared", "show")] == ["+48221234567"]  # type: ignore[attr-defined]
        shell.ok("shared", "remove", "221234567")
        assert "not marked as shared" in shell.no(1, "shared", "remove", "221234567")
        assert shell.no(1, "shared", "show", "221234567")
        assert "no number is marked" in shell.no(1, "shared", "show")


class TestFailures:
    def test_a_store_that_is_none(self, shell: Shell) -> None:
        shell.store.write_text("no database, only text that is long enough to be looked at" * 10)
        for words in (("vip", "show"), ("vip", "add", ONE, "anna"), ("list", "show", "black"), ("sticky", "show")):
            assert "is not a database: move it away" in shell.no(3, *words)

    def test_a_locked_store(self, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Database.__init__, "__kwdefaults__", {"busy_timeout": 0.05})
        with Database(shell.store) as store, store.transaction():
            assert "locked by another program" in shell.no(3, "vip", "add", ONE, "anna")
            assert shell.no(1, "vip", "show", ONE)  # readers are not hindered

    def test_settings_with_an_error(self, shell: Shell) -> None:
        shell.config.write_text(SETTINGS.replace("country: PL", "country: XX"))
        told = shell.no(2, "vip", "add", ONE, "anna")
        assert "sipacr.yaml:3:" in told

    def test_no_file_of_that_name(self, shell: Shell) -> None:
        assert "missing.csv" in shell.no(2, "vip", "import", "missing.csv")


def test_a_progress_bar_only_on_a_terminal(shell: Shell) -> None:
    data = "number,agent\n" + "".join(f"+4860{index:07},anna\n" for index in range(3000))
    csv = shell.file("big.csv", data)
    command = [sys.executable, "-m", "sipacr", "-c", str(shell.config), "vip", "import", csv]
    plain = subprocess.run(command, capture_output=True, check=True)
    assert plain.stderr == b""
    ours, theirs = os.openpty()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs) as on_terminal:
        os.close(theirs)
        shown = _read_all(ours)
        assert on_terminal.stdout is not None
        assert on_terminal.stdout.read().endswith(b"3000 unchanged\n")
    os.close(ours)
    assert b"checking" in shown
    assert b"writing" in shown
    assert b"100%" in shown


def _read_all(terminal: int) -> bytes:
    """What was written until the other side was closed, which Linux tells by EIO."""
    shown = b""
    while True:
        try:
            shown += os.read(terminal, 4096)
        except OSError:
            return shown
