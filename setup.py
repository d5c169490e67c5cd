"""Compiles the way of a call with mypyc if SIPACR_COMPILE=1. The same Python, unchanged, at about 2/3 of the CPU.

Without it nothing is compiled and nothing is missing: `make run` and the tests need no compiler (docs/operating.md).
"""

import os

from setuptools import setup

# What every call goes through. Modules that cffi, asyncio or pydantic look into stay as they are.
CALLS = """accepted addresses alive call callee caller calls dialog half hunt identity_headers message network outcome
    passage passing refer reliable repeating session tailor timers transactions via"""
ROUTING = (
    """decide decision facts identity lookups masktable numbers offers resolve situation sticky targets truth walk"""
)
SIP = "answer caller door front gate plain recent scan shape udp"


def modules() -> list[str]:
    """The files that are compiled."""
    folders = {"sipacr/calls": CALLS, "sipacr/routing": ROUTING, "sipacr/sip": SIP, "sipacr/store": "reader snapshot"}
    return ["sipacr/router.py", *(f"{folder}/{name}.py" for folder, names in folders.items() for name in names.split())]


if os.environ.get("SIPACR_COMPILE") == "1":
    from mypyc.build import mypycify

    setup(ext_modules=mypycify(modules(), opt_level="2", multi_file=True))
else:
    setup()
