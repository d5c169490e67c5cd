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


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables up to date inside the caller's transaction (all steps or none)."""
    steps.apply(sqlite_utils.Database(connection, execute_plugins=False))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA}")
