"""What the routing thread sees of the store: right answers, changes at once, and nothing that ever makes it wait."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipacr.routing.facts import Binding, ListEntry, Number, Unavailable
from sipacr.store import Database, Reader, database, reader, snapshot

NOW = 1_000_000.0
CUSTOMER = "+48601000111"


def number(e164: str | None, text: str | None = None) -> Number:
    return Number(text or e164 or "", text or e164 or "", e164)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "sipacr.db") as database:
        yield database


@pytest.fixture
def calls(store: Database) -> Iterator[Reader]:
    opened = Reader(store.path, watch=False)
    yield opened
    opened.close()


def run(store: Database, sql: str, *rows: tuple[object, ...]) -> None:
    with store.transaction() as connection:
        connection.executemany(sql, rows)


def add_vip(store: Database, customer: str, agent: str = "anna") -> None:
    run(store, "INSERT INTO vips VALUES (?, ?, '', 0, 'test')", (customer, agent))


def add_entries(store: Database, name: str, *entries: tuple[str, float | None]) -> None:
    columns = "list, prefix, number, expires, note, changed, by"
    sql = f"INSERT INTO list_entries ({columns}) VALUES (?, ?, ?, ?, 'n', 0, 'test')"
    rows = ((name, int(entry.endswith("*")), entry.removesuffix("*"), expires) for entry, expires in entries)
    run(store, sql, *rows)


def test_vips(store: Database, calls: Reader) -> None:
    add_vip(store, CUSTOMER, "ivan")
    assert calls.vip(CUSTOMER) == "ivan"
    assert calls.vip("+48601000112") is None


def test_shared_numbers_and_answered_calls(store: Database, calls: Reader) -> None:
    assert not calls.is_shared(CUSTOMER)
    assert not calls.has_answered_call(CUSTOMER)
    run(store, f"INSERT INTO shared_numbers VALUES ('{CUSTOMER}', '', 0, 'test')", ())
    run(store, f"INSERT INTO answered_customers VALUES ('{CUSTOMER}', 5)", ())
    assert calls.is_shared(CUSTOMER)
    assert calls.has_answered_call(CUSTOMER)


def test_bindings_of_one_profile_scope_and_customer(store: Database, calls: Reader) -> None:
    rows = [
        Binding("returning", "", CUSTOMER, "anna", 10.0, in_answered=20.0, conversation=30.0),
        Binding("returning", "", CUSTOMER, "ivan", 11.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, True),
        Binding("returning", "+48221112233", CUSTOMER, "olga", 12.0),
        Binding("campaign", "", CUSTOMER, "olga", 13.0),
        Binding("returning", "", "+48601000112", "olga", 14.0),
    ]
    columns = ", ".join(Binding._fields)
    run(store, f"INSERT INTO bindings ({columns}) VALUES ({', '.join('?' * len(rows[0]))})", *rows)
    assert calls.bindings("returning", "", CUSTOMER) == rows[:2]
    assert calls.bindings("returning", "", CUSTOMER)[1].in_progress is True
    assert calls.bindings("returning", "+48221112233", CUSTOMER) == rows[2:3]
    assert calls.bindings("campaign", "", CUSTOMER) == rows[3:4]
    assert list(calls.bindings("campaign", "", "+48601000112")) == []
    assert calls.bound("returning", "", CUSTOMER) == [("anna", 10.0), ("ivan", 11.0)]
    assert calls.bound("campaign", "", CUSTOMER) == [("olga", 13.0)]
    assert not calls.bound("campaign", "", "+48601000112")
    assert not calls.bound("returning", "", "+48601000113")


@pytest.mark.parametrize(
    ("called", "expected"),
    [
        (number("+48700100200"), "+48700*"),
        (number("+48700999888"), "+48700999888"),  # exact before prefix
        (number("+48700555111"), "+48700555*"),  # the longest
        (number("+48700556111"), "+48700*"),
        (number("+48701000000"), None),
        (number("+49301234567"), "+49*"),  # a longer one has expired
        (number("+48601000999"), None),  # expired
        (number("+48601000998"), "+48601000998"),  # not yet
        (number(None, "0700100"), "0700*"),  # raw text sees raw prefixes only
        (number(None, "*97"), "*97"),
        (number("+48800100200", "0700100200"), "0700*"),
        (number("+4"), None),
        (number(None, ""), None),
    ],
)
@pytest.mark.parametrize("few", [200, 0])
def test_list_entries(
    store: Database, calls: Reader, called: Number, expected: str | None, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_FEW", few)
    forever = ["+48700*", "+48700555*", "+48700999888", "+49*", "0700*", "*97"]
    add_entries(store, "black", *((entry, None) for entry in forever))
    add_entries(store, "black", ("+4930*", NOW), ("+48601000999", NOW - 1), ("+48601000998", NOW + 1))
    add_entries(store, "white", ("+4*", None))
    assert calls.list_entry("black", called, NOW) == (expected and ListEntry(expected, None, "n"))
    assert calls.list_entry("grey", called, NOW) is None


digits = st.text("012", min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(entries=st.dictionaries(digits, st.sampled_from([None, NOW - 1, NOW + 1]), max_size=12), called=digits)
def test_the_longest_live_prefix_wins_by_either_way(
    entries: dict[str, float | None], called: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("prefixes") / "sipacr.db"
    live = [prefix for prefix, expires in entries.items() if expires in (None, NOW + 1)]
    expected = max((prefix + "*" for prefix in live if called.startswith(prefix)), key=len, default=None)
    with Database(path) as store:
        add_entries(store, "black", *((prefix + "*", expires) for prefix, expires in entries.items()))
        calls = Reader(path, watch=False)
        found = calls.list_entry("black", number(None, called), NOW)
        searched = calls._search_prefix(calls._newest(), "black", called, NOW)
        calls.close()
    assert (found and found.number) == expected
    assert found == searched


def test_what_another_process_writes_is_seen_by_the_next_look_up(store: Database, calls: Reader) -> None:
    for index in range(50):
        customer = f"+4860100{index:03}0"
        assert calls.vip(customer) is None
        assert calls.list_entry("black", number(customer), NOW) is None
        add_vip(store, customer)
        add_entries(store, "black", (customer[:-1] + "*" if index % 10 == 0 else customer, None))
        assert calls.vip(customer) == "anna"
        assert calls.list_entry("black", number(customer), NOW) is not None


def test_whatever_changes_of_the_caller_who_was_just_asked_about_is_seen_by_the_next_look_up(
    store: Database, calls: Reader
) -> None:
    """All that is known of a caller is read at once and kept: every table must count as changed with any commit."""
    caller = number(CUSTOMER, "601000111")

    def seen() -> tuple[object, ...]:
        binding = [row.agent for row in calls.bindings("returning", "", CUSTOMER)]
        entry = calls.list_entry("black", caller, NOW)
        return calls.vip(CUSTOMER), calls.is_shared(CUSTOMER), binding, entry and entry.number

    insert = "INSERT INTO list_entries (list, prefix, number, changed, by) VALUES ('black', ?, ?, 0, 't')"
    shared = "INSERT INTO shared_numbers VALUES (?, '', 0, 't')"
    bound = "INSERT INTO bindings (customer, profile, agent, made) VALUES (?, 'returning', ?, 0)"
    assert seen() == seen() == (None, False, [], None)
    run(store, insert, (1, "601"))
    assert seen() == (None, False, [], "601*")
    run(store, insert, (0, "601000111"))
    assert seen() == (None, False, [], "601000111")
    run(store, insert, (0, CUSTOMER))
    assert seen() == (None, False, [], CUSTOMER)
    add_vip(store, CUSTOMER)
    run(store, bound, (CUSTOMER, "ivan"), (CUSTOMER, "olga"))
    assert seen() == ("anna", False, ["ivan", "olga"], CUSTOMER)
    run(store, shared, (CUSTOMER,))
    assert seen() == ("anna", True, ["ivan", "olga"], CUSTOMER)
    for table in ("vips", "shared_numbers", "bindings", "list_entries"):
        run(store, f"DELETE FROM {table}", ())
    assert seen() == (None, False, [], None)


def test_an_entry_that_comes_between_two_questions_of_one_call_is_seen(store: Database, calls: Reader) -> None:
    assert calls.vip(CUSTOMER) is None  # there are no entries at all
    add_entries(store, "black", (CUSTOMER, None))
    assert calls.vip(CUSTOMER) is None
    assert calls.list_entry("black", number(CUSTOMER), NOW) is not None


@pytest.mark.parametrize(
    "entry",
    ["+48601000111", "+48601*", "(601)", "601000111", "601*", "*11", ",5", "zz", "+0048"],
)
def test_an_entry_in_the_form_in_which_the_number_came(store: Database, calls: Reader, entry: str) -> None:
    add_entries(store, "black", (entry, None))
    odd = {"+4860": "(601)", "+4861": "*11", "+4862": ",5", "+4863": "zz", "+4864": "+0048"}
    for e164, text in ((CUSTOMER, "601000111"), *odd.items()):
        found = calls.list_entry("black", Number(text, text, e164), NOW)
        prefix = entry.removesuffix("*")
        held = any(form == entry or (entry != prefix and form.startswith(prefix)) for form in (e164, text))
        assert (found and found.number) == (entry if held else None)


def test_look_ups_share_a_snapshot_until_something_changes(
    store: Database, calls: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = 0
    begin = snapshot.Snapshot.begin

    def count(self: snapshot.Snapshot) -> None:
        nonlocal begun
        begun += 1
        begin(self)

    monkeypatch.setattr(snapshot.Snapshot, "begin", count)
    for _ in range(100):
        calls.vip(CUSTOMER)
    assert begun == 1
    add_vip(store, CUSTOMER)
    for _ in range(100):
        calls.vip(CUSTOMER)
    assert begun == 2


def test_without_shared_memory_look_ups_are_right_too(store: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "_wal_index", lambda path: (None, b""))
    calls = Reader(store.path, watch=False)
    assert calls.vip(CUSTOMER) is None
    assert calls.list_entry("black", number(CUSTOMER), NOW) is None
    add_vip(store, CUSTOMER)
    add_entries(store, "black", ("+4860*", None))
    assert calls.vip(CUSTOMER) == "anna"
    assert calls.list_entry("black", number(CUSTOMER), NOW) is not None
    calls.close()


def test_the_log_stays_short_while_calls_and_commits_go_on(
    store: Database, calls: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One commit for each look-up is the worst that there is: whoever reads is always one commit behind."""
    monkeypatch.setattr(database, "LONG_LOG", 100_000)
    store.connection.execute("PRAGMA synchronous = OFF")
    for index in range(500):
        store.copy_log()
        calls.vip(CUSTOMER)
        add_vip(store, f"+48{index:09}")
        calls.vip(CUSTOMER)
    assert Path(f"{store.path}-wal").stat().st_size < 300_000


def test_a_released_snapshot_lets_the_log_be_emptied(store: Database, calls: Reader) -> None:
    add_vip(store, CUSTOMER)
    assert calls.vip(CUSTOMER) == "anna"
    assert not store.empty_log()
    calls.release()
    assert store.empty_log()
    assert calls.vip(CUSTOMER) == "anna"


def test_a_writer_does_not_hinder_look_ups(store: Database, calls: Reader) -> None:
    add_vip(store, CUSTOMER)
    with store.transaction() as connection:
        connection.execute("UPDATE vips SET agent = 'ivan'")
        assert calls.vip(CUSTOMER) == "anna"
    assert calls.vip(CUSTOMER) == "ivan"


LOCK_READERS_OUT = """
import fcntl, sys
index = open(sys.argv[1] + "-shm", "r+b")
fcntl.lockf(index, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 123)
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_process_that_shuts_readers_out_does_not_make_look_ups_wait(store: Database, calls: Reader) -> None:
    add_vip(store, CUSTOMER)
    command = [sys.executable, "-c", LOCK_READERS_OUT, str(store.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        start = time.monotonic()
        with pytest.raises(Unavailable, match=f"is locked by process {other.pid}"):
            calls.vip(CUSTOMER)
        assert time.monotonic() - start < 1  # SQLite would try for ten seconds
        other.stdin.close()
        other.wait()
    assert calls.vip(CUSTOMER) == "anna"


def test_a_snapshot_is_kept_while_readers_are_shut_out(
    store: Database, calls: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_vip(store, CUSTOMER)
    assert calls.vip(CUSTOMER) == "anna"
    run(store, "UPDATE vips SET agent = 'ivan'", ())
    with monkeypatch.context() as patched:
        patched.setattr(snapshot.Snapshot, "_shut_out_by", lambda self: 4711)
        assert calls.vip(CUSTOMER) == "anna"
    assert calls.vip(CUSTOMER) == "ivan"


def test_a_database_that_is_locked_whole_is_unavailable_at_once(tmp_path: Path) -> None:
    path = tmp_path / "sipacr.db"
    with Database(path) as store:
        add_vip(store, CUSTOMER)
        store.connection.execute("PRAGMA journal_mode = DELETE")
        store.connection.execute("BEGIN EXCLUSIVE")
        start = time.monotonic()
        calls = Reader(path, watch=False)
        with pytest.raises(Unavailable, match="locked by another program"):
            calls.vip(CUSTOMER)
        assert time.monotonic() - start < 0.5
        store.connection.execute("ROLLBACK")
        store.connection.execute("PRAGMA journal_mode = WAL")
        calls.check()
        assert calls.vip(CUSTOMER) == "anna"
        calls.close()


def test_a_missing_store_is_unavailable_until_it_is_made(tmp_path: Path) -> None:
    calls = Reader(tmp_path / "sipacr.db", watch=False)
    for _ in range(2):
        with pytest.raises(Unavailable, match="does not exist: restore it"):
            calls.vip(CUSTOMER)
    assert calls.problem is not None
    assert not (tmp_path / "sipacr.db").exists()
    with Database(calls.path) as store:
        add_vip(store, CUSTOMER)
        calls.check()
        assert calls.vip(CUSTOMER) == "anna"
        assert calls.problem is None
    calls.close()


def test_a_deleted_store_is_noticed(store: Database, calls: Reader, caplog: pytest.LogCaptureFixture) -> None:
    calls.vip(CUSTOMER)
    for file in store.path.parent.iterdir():
        file.unlink()
    calls.check()
    with pytest.raises(Unavailable, match="does not exist"):
        calls.vip(CUSTOMER)
    with Database(store.path) as anew:
        add_vip(anew, CUSTOMER, "olga")
        calls.check()
        assert calls.vip(CUSTOMER) == "olga"
    assert "can be read again" in caplog.text


def backup_with(folder: Path, agent: str) -> Path:
    """A finished backup in which the customer is this agent's VIP."""
    path = folder / "backup.db"
    with Database(path) as backup:
        add_vip(backup, CUSTOMER, agent)
        assert backup.empty_log()
    return path


def test_a_replaced_store_is_noticed(store: Database, calls: Reader, caplog: pytest.LogCaptureFixture) -> None:
    add_vip(store, CUSTOMER)
    assert store.empty_log()
    assert calls.vip(CUSTOMER) == "anna"
    backup_with(store.path.parent, "olga").rename(store.path)
    calls.check()
    assert calls.vip(CUSTOMER) == "olga"
    assert "was replaced or overwritten" in caplog.text


def test_a_replaced_store_beside_the_old_log_is_not_read(store: Database, calls: Reader) -> None:
    add_vip(store, CUSTOMER)
    assert calls.vip(CUSTOMER) == "anna"
    backup_with(store.path.parent, "olga").rename(store.path)
    calls.check()
    for _ in range(2):
        with pytest.raises(Unavailable, match=r"stop sipacr, delete sipacr.db-wal"):
            calls.vip(CUSTOMER)
        calls.check()


def test_a_store_that_was_copied_over_is_noticed(store: Database, calls: Reader) -> None:
    add_vip(store, CUSTOMER)
    assert store.empty_log()
    assert calls.vip(CUSTOMER) == "anna"
    calls.check()
    shutil.copyfile(backup_with(store.path.parent, "olga"), store.path)
    calls.check()
    assert calls.vip(CUSTOMER) == "olga"


def test_a_checkpoint_is_no_overwriting(store: Database, calls: Reader, caplog: pytest.LogCaptureFixture) -> None:
    for index in range(5):
        add_vip(store, f"+4860100000{index}")
        calls.vip(CUSTOMER)
        calls.check()
        store.connection.execute("PRAGMA wal_checkpoint")
        calls.check()
        calls.check()
    assert caplog.text == ""


def test_a_damaged_store_is_unavailable(store: Database, calls: Reader) -> None:
    run(store, "INSERT INTO vips VALUES (?, 'anna', '', 0, 't')", *((f"+48{index:09}",) for index in range(3000)))
    assert store.empty_log()
    with store.path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (store.path.stat().st_size - 4096))
    with pytest.raises(Unavailable, match="damaged"):
        calls.vip("+48000000999")
    assert calls.lost == 1
    with pytest.raises(Unavailable, match="damaged"):
        calls.vip("+48000000999")
    assert calls.lost == 1  # the second look-up did not even try


def test_a_closed_reader_says_so(store: Database) -> None:
    calls = Reader(store.path)
    calls.close()
    with pytest.raises(Unavailable, match="is closed"):
        calls.vip(CUSTOMER)


def test_it_opens_again_by_itself_at_most_once_in_an_interval(store: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[float] = []
    broken = True

    class Opening(snapshot.Snapshot):
        """Opens well, and fails at the first look-up: the worst, because each look-up asks for another attempt."""

        def __init__(self, path: Path, statements: tuple[tuple[str, int], ...]) -> None:
            attempts.append(time.monotonic())
            super().__init__(path, statements)

        def begin(self) -> None:
            if broken:
                raise sqlite3.OperationalError("the disk is dead")
            super().begin()

    monkeypatch.setattr(reader, "Snapshot", Opening)
    monkeypatch.setattr(reader, "_INTERVAL", 0.1)
    calls = Reader(store.path)
    deadline = time.monotonic() + 20
    while len(attempts) < 5 and time.monotonic() < deadline:
        with pytest.raises(Unavailable, match="the disk is dead"):
            calls.vip(CUSTOMER)
    broken = False
    while calls._snapshot is None and time.monotonic() < deadline:
        time.sleep(0.001)
    assert calls.vip(CUSTOMER) is None
    calls.close()
    assert min(later - earlier for earlier, later in pairwise(attempts[:5])) > 0.09


def test_a_checkpoint_that_is_going_on_is_no_overwriting(store: Database, calls: Reader) -> None:
    add_vip(store, CUSTOMER)
    calls.vip(CUSTOMER)
    calls.check()
    opened = calls._snapshot
    assert opened is not None
    index = bytearray(opened.index[:])
    index[128:132] = (1000).to_bytes(4, "little")  # frames that a checkpoint is about to copy
    opened.index = bytes(index)
    assert not opened.is_stale()
    os.utime(store.path)
    assert not opened.is_stale()
    index[96:100] = index[128:132]  # all are copied
    opened.index = bytes(index)
    os.utime(store.path)
    assert not opened.is_stale()
    os.utime(store.path, (1, 1))
    assert opened.is_stale()


TAKE_LOCK = """
import fcntl, sys
with open(sys.argv[1] + "-shm", "r+b") as index:
    fcntl.lockf(index, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 128)
"""


def test_opening_and_closing_keeps_the_locks_of_others(store: Database) -> None:
    """Whoever closes a descriptor of the index loses all locks of the process on it; the next one to open the store
    would take it for abandoned and cut the index that others have mapped."""
    add_vip(store, CUSTOMER)
    for _ in range(3):
        Reader(store.path, watch=False).close()
        taken = subprocess.run([sys.executable, "-c", TAKE_LOCK, str(store.path)], stderr=subprocess.PIPE, text=True)
        assert "BlockingIOError" in taken.stderr
