"""Nothing lost: a writer that is killed at any moment, a disk that is full, a router and commands on one store."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from records import call_in, close_lost, talked

from sipacr.store import Database, Writer, records, writer
from sipacr.store.learning import Learn

# Hands over a record each 2 ms and says so, until it is killed.
ROUTER = """
import sys, time
sys.path.insert(0, sys.argv[3])
from records import call_in, NOON, talked
from sipacr.store import Writer
from sipacr.store.learning import Learn
writer = Writer(sys.argv[1])
number = int(sys.argv[2])
while True:
    at = NOON + number
    going_on = number % 2
    more = {"ended": None, "outcome": "", "alive": at} if going_on else talked("anna", at)
    writer.submit(Learn(call_in(f"c{number}", at=at, **more), ()))
    sys.stdout.write(f"{time.time()} {number}\\n")
    sys.stdout.flush()
    number += 1
    time.sleep(0.002)
"""


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def until_more(watching: sqlite3.Connection, more: int) -> None:
    """Wait until so many records more are kept."""
    sql = "SELECT count(*) FROM records"
    before = watching.execute(sql).fetchone()[0]
    until(lambda: watching.execute(sql).fetchone()[0] >= before + more)


@pytest.mark.parametrize("commits", [1, 3, 8])
def test_a_killed_router_loses_at_most_the_last_second(tmp_path: Path, commits: int) -> None:
    path = tmp_path / "sipacr.db"
    Database(path).close()
    number = 0
    for _ in range(4):
        words = [sys.executable, "-c", ROUTER, str(path), str(number), str(Path(__file__).parent)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as router:
            assert router.stdout is not None
            with sqlite3.connect(path) as watching:
                until_more(watching, 20 * commits)
            router.send_signal(signal.SIGKILL)
            killed = time.time()
            told = [line.split() for line in router.stdout.read().splitlines() if line.count(" ") == 1]
        number = int(told[-1][1]) + 1
        with Database(path) as store, store.transaction() as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            kept = {row[0] for row in connection.execute("SELECT uid FROM records")}
            safe = [f"c{index}" for at, index in told if float(at) < killed - 1.0]
            assert set(safe) <= kept
            lost = close_lost(connection)
            assert {report.outcome for report in lost} <= {"lost"}
            going_on = connection.execute("SELECT count(*) FROM records WHERE ended IS NULL AND outcome = ''")
            assert going_on.fetchone() == (0,)
            orphans = "SELECT count(*) FROM talks WHERE record NOT IN (SELECT id FROM records)"
            assert connection.execute(orphans).fetchone() == (0,)


class SmallDisk(Database):
    """A store whose disk is full at a size, until somebody frees space."""

    pages: int | None = None

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        if SmallDisk.pages is not None:
            self.connection.execute(f"PRAGMA max_page_count = {SmallDisk.pages}")


def test_a_full_disk_is_loud_and_writing_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer, "RETRY", 0.05)
    monkeypatch.setattr(writer, "PATIENCE", 0.0)
    monkeypatch.setattr(writer, "Database", SmallDisk)
    path = tmp_path / "sipacr.db"
    with Database(path) as store:
        pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
    SmallDisk.pages = pages + 2
    router = Writer(path)
    for index in range(500):
        assert router.submit(Learn(call_in(f"c{index}", at=1000.0 + index, **talked("anna", 1000.0)), ()))
    until(lambda: router.failures >= 2)
    assert "is full; free some space and try again" in caplog.text
    with Database(path) as store:  # whoever decides still reads
        assert store.connection.execute("SELECT count(*) FROM vips").fetchone() == (0,)
    SmallDisk.pages = None
    until(lambda: router.written == 500)
    router.close()
    assert router.lost == 0
    with Database(path) as store:
        assert records.count(store.connection, 0, 1e10) == 500


def test_the_router_and_commands_do_not_block_each_other(tmp_path: Path) -> None:
    """A reader of all records (an export) holds its snapshot while the router writes and another command does too."""
    path = tmp_path / "sipacr.db"
    router = Writer(path)
    for index in range(200):
        router.submit(Learn(call_in(f"c{index}", at=1000.0 + index), ()))
    until(lambda: router.written == 200)
    with Database(path) as export, Database(path, busy_timeout=5.0) as command:
        export.connection.execute("BEGIN")
        reading = records.between(export.connection, 0, 1e10)
        assert next(reading).uid == "c0"
        stop = threading.Event()

        def submit() -> None:
            index = 200
            while not stop.is_set():
                router.submit(Learn(call_in(f"c{index}", at=1000.0 + index), ()))
                index += 1
                time.sleep(0.0005)

        busy = threading.Thread(target=submit)
        busy.start()
        for index in range(20):
            with command.transaction() as connection:
                connection.execute("INSERT INTO vips VALUES (?, 'anna', '', 0, 'test')", (f"+48{index}",))
        until(lambda: router.written > 600)
        stop.set()
        busy.join()
        assert len(list(reading)) == 199  # its snapshot
    router.close()
    assert (router.failures, router.lost) == (0, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_disk_that_is_really_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "RETRY", 0.05)
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    router = Writer(disk / "sipacr.db")
    try:
        router.submit(Learn(call_in("first"), ()))
        until(lambda: router.written == 1)
        ballast = disk / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass
        for index in range(2000):
            router.submit(Learn(call_in(f"c{index}", at=1000.0 + index, name="x" * 100), ()))
        until(lambda: router.failures >= 2)
        ballast.unlink()
        subprocess.run(["mount", "-o", "remount,size=16m", disk], check=True, capture_output=True)
        until(lambda: router.written == 2001)
    finally:
        router.close()
        subprocess.run(["umount", disk], check=True)
    assert router.lost == 0
