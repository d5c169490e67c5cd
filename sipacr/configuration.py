"""One set of files as the router runs it: all of it or nothing, and the copy of the last set that loaded."""

import contextlib
import datetime
import logging
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from sipacr.control import socket_path
from sipacr.routing.decide import Engine
from sipacr.routing.golden import run as run_golden
from sipacr.routing.regions import PackError, Regions
from sipacr.routing.ruleset import Position, Ruleset
from sipacr.rulefile import load_rules
from sipacr.rulefile.golden import load_golden
from sipacr.rulefile.problems import Problem
from sipacr.settings import Settings, load_settings
from sipacr.sip.certificates import CertificateFault, client_context, server_context

log = logging.getLogger("sipacr")

_CALENDAR = re.compile(r"""[^\s"',\[\]{}:]+\.ics\b""")
GOLDEN = "tests"  # the folder of golden calls, beside the rule files


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that a reload exchanges."""

    settings: Settings
    ruleset: Ruleset
    engine: Engine
    warnings: tuple[Problem, ...]


def load(path: Path) -> tuple[Configuration | None, list[Problem]]:
    """sipacr.yaml and its rules. With an error anywhere there is no configuration; all problems are told."""
    settings, problems = load_settings(path)
    return load_rest(settings, path, problems)


def load_rest(
    settings: Settings | None, path: Path, problems: list[Problem]
) -> tuple[Configuration | None, list[Problem]]:
    """What sipacr.yaml leads to. Where that has errors the rules in their usual place are looked at all the same."""
    ruleset, more = load_rules(settings.rules if settings else path.parent / "rules", settings)
    problems = problems + more
    if ruleset is None or settings is None:
        return None, problems
    try:
        regions = Regions.load(settings.regions)
    except PackError as error:
        return None, problems + [Problem(Position(str(p.path), p.line, 1), p.message) for p in error.problems]
    engine = Engine(ruleset, settings.directory, regions)
    return Configuration(settings, ruleset, engine, tuple(problems)), problems


def problems_of_machine(settings: Settings) -> list[Problem]:
    """What sipacr.yaml names and a start would stumble over: certificates, the place of the control socket."""
    found = []
    if settings.tls is not None:
        files = settings.tls
        try:
            server_context(files.certificate, files.key, files.clients, datetime.datetime.now(datetime.UTC))
            client_context(files.certificate, files.key, files.ca)
        except CertificateFault as error:
            found.append(str(error))
    try:
        socket_path(settings.store)
    except ValueError as error:
        found.append(str(error))
    return [Problem(Position(str(settings.path), 1, 1), message) for message in found]


def broken_golden_calls(loaded: Configuration) -> list[str]:
    """Each golden call that these rules do not pass, with what came out; and what is wrong with the files of them."""
    ruleset, directory = loaded.ruleset, loaded.settings.directory
    calls, problems = load_golden(loaded.settings.rules / GOLDEN, ruleset, directory)
    outcomes = [run_golden(loaded.engine, call) for call in calls]
    failed = [
        f"{outcome.call.position}: golden call failed: {'; '.join(outcome.differences)}"
        for outcome in outcomes
        if not outcome.passed
    ]
    return [*(str(problem) for problem in problems if problem.severity == "error"), *failed]


def last_good_folder(store: Path) -> Path:
    """Where the last set that loaded is kept."""
    return store.parent / "last-good"


def keep_last_good(configuration: Configuration, folder: Path) -> None:
    """Copy the files of a set that loaded. A failure is logged: it costs safety after a crash, not a call now."""
    new, old = folder.with_suffix(".new"), folder.with_suffix(".old")
    settings = configuration.settings
    try:
        for leftover in (new, old):
            shutil.rmtree(leftover, ignore_errors=True)
        new.mkdir(0o700, parents=True)  # there may be passwords
        (new / "rules").mkdir()
        shutil.copyfile(settings.path, new / "sipacr.yaml")
        for file in sorted(settings.rules.glob("*.yaml")):
            if not file.name.startswith("."):
                shutil.copyfile(file, new / "rules" / file.name)
        for file in (*settings.regions, *settings.passwords, *calendar_files(settings)):
            _copy_beside(file, settings.path.parent, new)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        log.error("the last good rules cannot be kept in %s: %s", folder, error)


def _copy_beside(file: Path, root: Path, new: Path) -> None:
    """Keep a file that the rules name, in the same place of the copy; one from elsewhere stays where it is."""
    with contextlib.suppress(ValueError):
        target = new / file.resolve().relative_to(root.resolve())
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


def calendar_files(settings: Settings) -> list[Path]:
    """The iCal files that the schedules of the rules name."""
    named = {word for file in settings.rules.glob("*.yaml") for word in _CALENDAR.findall(file.read_text("utf-8"))}
    return sorted(path for word in named if (path := settings.path.parent / word).is_file())


def load_last_good(path: Path, folder: Path) -> Configuration | None:
    """The kept copy of the files at `path`, with the store and the certificates of those; None if there is none."""
    settings, problems = load_settings(folder / "sipacr.yaml")
    where, _ = load_settings(folder / "sipacr.yaml", folder=path.parent)
    if settings is None or where is None:
        for problem in problems:
            log.error("%s", problem)
        return None
    kept = replace(settings, store=where.store, tls=where.tls, rules=folder / "rules")
    return load_rest(kept, folder / "sipacr.yaml", problems)[0]
