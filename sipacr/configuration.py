"""One set of files as the router runs it: all of it or nothing, and the copy of the last set that loaded."""

import logging
import shutil
import socket
from dataclasses import dataclass, replace
from pathlib import Path

from sipacr.routing.decide import Engine
from sipacr.routing.golden import run as run_golden
from sipacr.routing.regions import PackError, Regions
from sipacr.routing.ruleset import Position, Ruleset
from sipacr.rulefile import load_rules
from sipacr.rulefile.golden import load_golden
from sipacr.rulefile.problems import Problem
from sipacr.settings import Settings, load_settings
from sipacr.sip.sources import split_host

log = logging.getLogger("sipacr")

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
        (new / "rules").mkdir(parents=True)
        shutil.copyfile(settings.path, new / "sipacr.yaml")
        for file in sorted(settings.rules.glob("*.yaml")):
            if not file.name.startswith("."):
                shutil.copyfile(file, new / "rules" / file.name)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        log.error("the last good rules cannot be kept in %s: %s", folder, error)


def load_last_good(path: Path, folder: Path) -> Configuration | None:
    """The kept copy, its paths (store, certificates) read as if it stood at `path`; None if there is none."""
    settings, problems = load_settings(folder / "sipacr.yaml", folder=path.parent)
    if settings is None:
        for problem in problems:
            log.error("%s", problem)
        return None
    return load_rest(replace(settings, path=path, rules=folder / "rules"), path, problems)[0]


def resolve_names(settings: Settings) -> dict[str, list[str]]:
    """Addresses of the host names among the peers' addresses and sources. A name that cannot be resolved is logged:
    its peer gets no calls from there until a reload finds it."""
    found: dict[str, list[str]] = {}
    for peer in settings.directory.peers.values():
        for text in peer.sources or peer.addresses:
            host = split_host(text)[0]
            if "/" in text or host in found or _is_address(host):
                continue
            try:
                answers = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
            except OSError as error:
                log.error("peer %s: %s cannot be resolved (%s); give it `sources:`", peer.name, host, error)
                found[host] = []
                continue
            found[host] = sorted({str(answer[4][0]) for answer in answers})
    return found


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
            return True
        except OSError:
            continue
    return False
