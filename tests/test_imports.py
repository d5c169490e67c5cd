"""Imports go one way: what each part of sipacr may know of the others and of the world, checked in the syntax trees."""

import ast
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]


class May(NamedTuple):
    """What a part may import beside the standard library: parts of sipacr, and packages of others."""

    ours: frozenset[str]
    others: frozenset[str] = frozenset()


def may(ours: str = "", others: str = "") -> May:
    return May(frozenset(ours.split()), frozenset(others.split()))


# The longest name that fits counts. "*" is all of sipacr. A module that no row names has no business being there.
RULES = {
    "sipacr": may(),
    "sipacr.__main__": may("sipacr.platform_check sipacr.cli"),
    "sipacr.platform_check": may(),
    "sipacr.routing": may("sipacr.routing"),
    "sipacr.routing.numbers": may("sipacr.routing", "phonenumbers"),
    "sipacr.routing.regions": may("sipacr.routing", "phonenumbers"),
    "sipacr.routing.conditions": may("sipacr.routing", "re2"),
    "sipacr.routing.truth": may("sipacr.routing", "re2"),
    "sipacr.routing.schedules": may("sipacr.routing", "icalendar recurring_ical_events"),
    "sipacr.calls": may("sipacr.calls sipacr.routing"),
    "sipacr.memory": may("sipacr.memory sipacr.routing"),
    "sipacr.rulefile": may("sipacr.routing sipacr.rulefile sipacr.settings", "yaml pydantic pydantic_core"),
    "sipacr.settings": may("sipacr.routing sipacr.rulefile", "yaml pydantic pydantic_core"),
    "sipacr.sip": may("sipacr.routing sipacr.calls sipacr.sip", "pjsua2 cffi cryptography"),
    "sipacr.sip.dns": may("sipacr.routing sipacr.calls sipacr.sip", "dns"),
    "sipacr.store": may("sipacr.routing sipacr.memory sipacr.store", "sqlite_utils"),
    "sipacr.configuration": may(
        "sipacr.routing sipacr.rulefile sipacr.settings sipacr.sip.sources sipacr.sip.certificates sipacr.control"
    ),
    "sipacr.relay": may("sipacr.routing sipacr.calls sipacr.sip sipacr.loud"),
    "sipacr.ends": may("sipacr.routing sipacr.calls"),
    "sipacr.recorder": may("sipacr.routing sipacr.memory sipacr.calls sipacr.store sipacr.settings sipacr.ends"),
    "sipacr.replay": may("sipacr.routing sipacr.memory sipacr.store"),
    "sipacr.router": may("sipacr.routing sipacr.calls sipacr.sip sipacr.store sipacr.configuration sipacr.loud"),
    "sipacr.figures": may("sipacr.router sipacr.relay sipacr.sip"),
    "sipacr.metrics": may("sipacr.routing sipacr.calls sipacr.sip", "prometheus_client"),
    "sipacr.outside": may("sipacr.routing sipacr.memory sipacr.store"),
    "sipacr.webhook": may("sipacr.routing sipacr.memory sipacr.store sipacr.outside", "aiohttp"),
    "sipacr.control": may(),
    "sipacr.local": may(),
    "sipacr.loud": may(),
    "sipacr.probe": may(),
    "sipacr.supervisor": may(),
    "sipacr.service": may("*", "uvloop"),
    "sipacr.cli": may("*", "click"),
}
# Nobody looks up: the commands are the top, the service is started by them.
ABOVE = {"sipacr.cli": {"sipacr.cli", "sipacr.__main__"}, "sipacr.service": {"sipacr.cli", "sipacr.service"}}
# The pure core knows no socket, clock, thread, chance or process; `now` is an argument.
IMPURE = {"asyncio", "multiprocessing", "os", "random", "select", "signal", "socket", "sqlite3", "ssl", "subprocess"}
IMPURE |= {"secrets", "threading", "time", "uuid"}
# `importlib.resources` reads our own data; the rest of importlib would be a way around these rules.
LOADERS = {"importlib", "importlib.util", "importlib.machinery", "ctypes", "imp", "runpy"}


def parts() -> dict[str, Path]:
    """Every module of sipacr by its dotted name."""
    found = {}
    for path in sorted((ROOT / "sipacr").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


MODULES = parts()


def imports(source: str, known: frozenset[str]) -> list[tuple[int, str]]:
    """Line and full name of everything that a module imports, inside functions and for type checkers too."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            for alias in node.names:
                module = f"{base}.{alias.name}"
                found.append((node.lineno, module if module in known else base))
    return found


def row(name: str) -> str | None:
    """The longest name in RULES that `name` is, or is below; the root package stands for itself alone."""
    below = [part for part in RULES if name == part or (part != "sipacr" and name.startswith(part + "."))]
    return max(below, key=len, default=None)


def inside(name: str, part: str) -> bool:
    return part == "*" or name == part or name.startswith(part + ".")


def faults(name: str, source: str, known: frozenset[str] = frozenset(MODULES)) -> list[str]:
    """What module `name` imports and may not, as `line: sentence`."""
    part = row(name)
    if part is None:
        return [f"0: {name} stands in no row of RULES in {Path(__file__).name}: say what it may import"]
    allowed = RULES[part]
    said = []
    for line, module in imports(source, known):
        top = module.split(".")[0]
        if module.startswith("."):
            said.append(f"{line}: write the whole name of {module}: these rules read whole names")
        elif top == "sipacr":
            above = next((high for high in ABOVE if inside(module, high)), None)
            if above and not any(inside(name, low) for low in ABOVE[above]):
                said.append(f"{line}: only {', '.join(sorted(ABOVE[above]))} may import {above}")
            elif module != "sipacr" and not any(inside(module, ours) for ours in allowed.ours):
                said.append(f"{line}: {part} must not know {module}")
        elif top not in sys.stdlib_module_names and top not in allowed.others:
            said.append(f"{line}: {part} must not import {module}")
        elif part.startswith(("sipacr.routing", "sipacr.calls", "sipacr.memory")) and top in IMPURE:
            said.append(f"{line}: {part} is pure and must not import {module}")
        elif module in LOADERS and not inside(name, "sipacr.sip"):
            said.append(f"{line}: only sipacr.sip loads modules by hand ({module})")
    return said


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_one_way(name: str) -> None:
    assert faults(name, MODULES[name].read_text()) == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("sipacr.routing.decide", "import time"),
        ("sipacr.routing.decide", "from os import path"),
        ("sipacr.calls.timers", "import time"),
        ("sipacr.calls.timers", "from sipacr.sip import udp"),
        ("sipacr.routing.decide", "import phonenumbers"),
        ("sipacr.routing.decide", "def f():\n    from sipacr.store import Database"),
        ("sipacr.routing.decide", "from ..store import Database"),
        ("sipacr.store.vips", "from sipacr import sip"),
        ("sipacr.store.vips", "import sipacr.sip.udp"),
        ("sipacr.sip.udp", "from sipacr.rulefile import load_rules"),
        ("sipacr.sip.udp", "import sqlite_utils"),
        ("sipacr.service", "from sipacr.cli import main"),
        ("sipacr.settings", "import sipacr.service"),
        ("sipacr.cli.run", "import pjsua2"),
        ("sipacr.cli.run", "import importlib.util"),
        ("sipacr.extras", "import json"),
    ],
)
def test_a_wrong_import_is_found(name: str, source: str) -> None:
    known = frozenset({"sipacr", "sipacr.sip", "sipacr.store", "sipacr.service", "sipacr.cli"})
    assert len(faults(name, source, known)) == 1


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("sipacr.routing.numbers", "import phonenumbers\nfrom sipacr.routing.facts import Number"),
        ("sipacr.sip.library", "import cffi, importlib.util\nfrom sipacr import __version__"),
        (
            "sipacr.cli.run",
            "from sipacr.service import run\nimport click, importlib.resources\nfrom sipacr.cli import out",
        ),
        ("sipacr.service", "import sipacr.sip.udp, sipacr.store, sipacr.rulefile, asyncio"),
    ],
)
def test_a_right_import_is_not(name: str, source: str) -> None:
    assert faults(name, source) == []
