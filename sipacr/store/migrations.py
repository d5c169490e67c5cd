"""The tables of the store, in ordered steps; a step that was released is never edited, a new one is added below it."""

import sqlite3

import sqlite_utils
from sqlite_utils import Migrations

from sipacr.store.database import APPLICATION_ID, SCHEMA

steps = Migrations("sipacr")

# Tables that calls read are WITHOUT ROWID: the row lies in the index itself, a look-up descends one tree, not two.
# The customer stands first in the key of bindings: its text differs soonest, and all rows of one customer lie together.


@steps()
def first(db: sqlite_utils.Database) -> None:
    """VIPs, lists, shared numbers, bindings, answered calls, changes."""
    db.execute(
        """
        CREATE TABLE vips (
            customer TEXT PRIMARY KEY,
            agent TEXT NOT NULL,
            note TEXT NOT NULL DEFAULT '',
            changed REAL NOT NULL,
            by TEXT NOT NULL
        ) STRICT, WITHOUT ROWID
        """
    )
    # A prefix stands without its star: "+48" sorts before "+48601", which the search for the longest one relies on.
    db.execute(
        """
        CREATE TABLE list_entries (
            list TEXT NOT NULL,
            prefix INTEGER NOT NULL CHECK (prefix IN (0, 1)),
            number TEXT NOT NULL,
            note TEXT NOT NULL DEFAULT '',
            expires REAL,
            target TEXT,
            changed REAL NOT NULL,
            by TEXT NOT NULL,
            PRIMARY KEY (number, prefix, list)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute("CREATE INDEX list_prefixes ON list_entries (list, number) WHERE prefix = 1")
    db.execute(
        """
        CREATE TABLE shared_numbers (
            number TEXT PRIMARY KEY,
            note TEXT NOT NULL DEFAULT '',
            changed REAL NOT NULL,
            by TEXT NOT NULL
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute(
        """
        CREATE TABLE bindings (
            customer TEXT NOT NULL,
            profile TEXT NOT NULL,
            scope TEXT NOT NULL DEFAULT '',
            agent TEXT NOT NULL,
            made REAL NOT NULL,
            out_attempt REAL,
            out_failed REAL,
            out_answered REAL,
            in_answered REAL,
            in_call REAL,
            conversation REAL,
            in_progress INTEGER NOT NULL DEFAULT 0 CHECK (in_progress IN (0, 1)),
            PRIMARY KEY (customer, profile, scope, agent)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute(
        """
        CREATE TABLE answered_customers (
            customer TEXT PRIMARY KEY,
            last REAL NOT NULL
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute(
        """
        CREATE TABLE changes (
            id INTEGER PRIMARY KEY,
            at REAL NOT NULL,
            by TEXT NOT NULL,
            what TEXT NOT NULL,
            key TEXT NOT NULL,
            old TEXT,
            new TEXT
        ) STRICT
        """
    )
    db.execute("CREATE INDEX changes_by_key ON changes (key, what, id)")


@steps()
def records(db: sqlite_utils.Database) -> None:
    """Call records: a row a call, a row an attempt on a leg, a row for each who talked.

    What is rarely there, and what nobody searches by, stands as JSON in the row of the call, or is NULL.
    """
    db.execute(
        """
        CREATE TABLE records (
            id INTEGER PRIMARY KEY,
            uid TEXT NOT NULL,
            source TEXT NOT NULL,
            direction TEXT NOT NULL CHECK (direction IN ('in', 'out')),
            customer TEXT NOT NULL,
            nobody TEXT NOT NULL,
            number TEXT,
            shown TEXT NOT NULL,
            peer TEXT NOT NULL,
            agent TEXT,
            started REAL NOT NULL,
            ringing REAL,
            answered REAL,
            ended REAL,
            alive REAL NOT NULL,
            outcome TEXT NOT NULL,
            code INTEGER NOT NULL,
            reason TEXT NOT NULL,
            ended_by TEXT NOT NULL,
            learn INTEGER NOT NULL CHECK (learn IN (0, 1)),
            rules TEXT,
            position TEXT NOT NULL,
            version TEXT NOT NULL,
            tag TEXT NOT NULL,
            headers TEXT,
            not_tried TEXT,
            caller TEXT NOT NULL,
            caller_text TEXT NOT NULL,
            caller_e164 TEXT,
            dialled TEXT NOT NULL,
            dialled_text TEXT NOT NULL,
            dialled_e164 TEXT,
            name TEXT NOT NULL,
            call_id TEXT NOT NULL
        ) STRICT
        """
    )
    db.execute("CREATE UNIQUE INDEX records_uid ON records (uid, source)")
    db.execute("CREATE INDEX records_customer ON records (customer, started) WHERE customer <> ''")
    db.execute("CREATE INDEX records_started ON records (started)")
    db.execute("CREATE INDEX records_call_id ON records (call_id) WHERE call_id <> ''")
    db.execute("CREATE INDEX records_agent ON records (agent, started) WHERE agent IS NOT NULL")
    db.execute("CREATE INDEX records_going_on ON records (id) WHERE ended IS NULL AND outcome <> 'lost'")
    db.execute(
        """
        CREATE TABLE legs (
            record INTEGER NOT NULL,
            position INTEGER NOT NULL,
            step TEXT NOT NULL,
            agent TEXT,
            target TEXT NOT NULL,
            address TEXT NOT NULL,
            peer TEXT NOT NULL,
            started REAL NOT NULL,
            ended REAL,
            outcome TEXT NOT NULL,
            code INTEGER NOT NULL,
            reason TEXT NOT NULL,
            PRIMARY KEY (record, position)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute(
        """
        CREATE TABLE talks (
            record INTEGER NOT NULL,
            position INTEGER NOT NULL,
            agent TEXT,
            who TEXT NOT NULL,
            since REAL NOT NULL,
            until REAL,
            PRIMARY KEY (record, position)
        ) STRICT, WITHOUT ROWID
        """
    )


@steps()
def clocks(db: sqlite_utils.Database) -> None:
    """Bindings: from when the clock runs since the row was made, and whether the customer's own call goes on."""
    db.execute("ALTER TABLE bindings ADD COLUMN since REAL")
    db.execute("ALTER TABLE bindings ADD COLUMN calling INTEGER NOT NULL DEFAULT 0 CHECK (calling IN (0, 1))")


@steps()
def absences(db: sqlite_utils.Database) -> None:
    """Agents who have left (no `until`), or are on leave for a time."""
    db.execute(
        """
        CREATE TABLE absences (
            agent TEXT NOT NULL,
            since REAL NOT NULL,
            until REAL,
            successor TEXT,
            changed REAL NOT NULL,
            by TEXT NOT NULL,
            PRIMARY KEY (agent, since)
        ) STRICT, WITHOUT ROWID
        """
    )


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables up to date inside the caller's transaction (all steps or none)."""
    steps.apply(sqlite_utils.Database(connection, execute_plugins=False))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA}")
