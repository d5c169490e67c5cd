"""The store: VIPs, lists, bindings and the record of changes, in one SQLite file.

    database    opens the file, refuses a foreign one, brings its tables up to date
    migrations  the tables, in ordered steps
    reader      what the routing thread asks (`routing.facts.Store`)
    writer      what the router writes while calls go on, on a thread of its own
    tables      what people keep by the command line; every write is recorded
    spreadsheet CSV as people make it -> lines, or what is wrong with them

Nothing here imports sip/ or web/.
"""

from sipacr.store.database import Database, StoreError
from sipacr.store.reader import Reader
from sipacr.store.writer import AddToList, Writer

__all__ = ["AddToList", "Database", "Reader", "StoreError", "Writer"]
