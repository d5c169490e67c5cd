"""The commands around the running router: init, run, reload, status, probe, certs."""

import datetime
import json
import logging
import os
import shutil
import sys
from pathlib import Path

import click

from sipacr.cli.context import MISCONFIGURED, NO, Context, Failure
from sipacr.probe import NoSuchSource, Probe, Shown
from sipacr.probe import run as run_probe
from sipacr.settings import Settings

EXAMPLE = Path(__file__).parent.parent / "example"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=".")
@click.option("--force", is_flag=True, help="Overwrite files that exist.")
def init(folder: Path, force: bool) -> None:
    """Write a sipacr.yaml and rules to start from into FOLDER (default: here)."""
    written = copy_example(folder, force=force)
    for path in written:
        click.echo(f"wrote {path}")
    click.echo(f"Next: edit {written[0]}, then: sipacr -c {written[0]} check")


def copy_example(folder: Path, *, force: bool) -> list[Path]:
    """Copy the example's files, sipacr.yaml first. Ends the command with status 1 if one exists."""
    sources = [EXAMPLE / "sipacr.yaml", *sorted(p for p in EXAMPLE.rglob("*") if p.is_file() and p.suffix in _COPIED)]
    pairs = {source: folder / source.relative_to(EXAMPLE) for source in sources}
    existing = [str(target) for target in pairs.values() if target.exists()]
    if existing and not force:
        raise Failure(f"{', '.join(existing)}: exists already; --force overwrites", NO)
    try:
        for source, target in pairs.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    except OSError as error:
        raise Failure(f"{error.filename}: {error.strerror}", MISCONFIGURED) from error
    return list(pairs.values())


_COPIED = frozenset({".yaml", ".ics", ".csv"})


@click.command()
@click.option("--example", is_flag=True, help="Run the example rules on 127.0.0.1 in a folder of their own.")
@click.option("-v", "--verbose", is_flag=True, help="One line per call.")
@click.pass_obj
def run(context: Context, example: bool, verbose: bool) -> None:
    """Run the router until SIGTERM or Ctrl-C. SIGHUP reloads; a crashed router is started again."""
    from sipacr.service import run as run_service

    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)-8s %(message)s", datefmt="%H:%M:%S"
    )
    path = _example_config() if example else context.path
    raise click.exceptions.Exit(run_service(path, verbose=verbose or example))


def _example_config() -> Path:
    """The example in a folder of this user's, so that its store is kept from one run to the next."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(cache) / "sipacr" / "example"
    copy_example(folder, force=True)
    path = folder / "sipacr.yaml"
    click.echo(f"The example rules run from {folder}. In another terminal:")
    click.echo(f"    {sys.argv[0]} -c {path} probe +48601000111 +48221112233")
    return path


@click.command()
@click.option("--test", "tested", is_flag=True, help="Refuse rules that break a golden call too.")
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")
@click.pass_obj
def reload(context: Context, tested: bool, as_json: bool) -> None:
    """Make the running router read all files anew; if they have errors it keeps what it has (status 2)."""
    answer = context.ask("reload-tested" if tested else "reload")
    if as_json:
        click.echo(json.dumps(answer))
    else:
        for problem in _texts(answer.get("problems")):
            click.echo(problem, err=True)
        click.echo(str(answer.get("said", "")))
    if not answer.get("ok"):
        raise click.exceptions.Exit(MISCONFIGURED)


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


@click.command()
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")
@click.pass_obj
def status(context: Context, as_json: bool) -> None:
    """Show the running router: since when, which rules, counters, what is broken."""
    answer = context.ask("status")
    if as_json:
        click.echo(json.dumps(answer))
        return
    for key, value in answer.items():
        if key != "ok":
            click.echo(f"{key}: {json.dumps(value) if isinstance(value, dict | list) else value}")


@click.command()
@click.argument("caller")
@click.argument("dialled")
@click.option("--transport", type=click.Choice(["udp", "tcp", "tls"]), default="udp", show_default=True)
@click.option("--to", metavar="HOST:PORT", help="Where the router listens; default: the first such entry of `listen`.")
@click.option("--source", metavar="ADDRESS", help="Our own address: one of a peer, or there will be no answer.")
@click.option("--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header to add; may be repeated.")
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 600),
    default=4.0,
    show_default=True,
    help="Seconds to wait for a final answer.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per message.")
@click.pass_obj
def probe(
    context: Context,
    caller: str,
    dialled: str,
    transport: str,
    to: str | None,
    source: str | None,
    headers: tuple[str, ...],
    timeout: float,
    as_json: bool,
) -> None:
    """Send one real INVITE from CALLER to DIALLED and show every message of the answer."""
    from sipacr.sip.sources import split_host

    for header in headers:
        if ":" not in header or "\r" in header or "\n" in header:
            raise click.BadParameter(f"{header!r}: write 'Name: value' on one line")
    if to:
        host, port = split_host(to)
        where = (host, port or (5061 if transport == "tls" else 5060))
        if not host or (":" in host) != ("[" in to or to.count(":") > 1) or where[1] > 65535:
            raise click.BadParameter(f"{to!r}: write HOST:PORT, with an IPv6 address in brackets")
    else:
        where = _listening(context.settings, transport)
    request = Probe(caller, dialled, where[0], where[1], transport, source, headers, timeout)  # type: ignore[arg-type]
    final = 0
    try:
        for shown in run_probe(request):
            _show(shown, as_json)
            final = final if shown.sent else shown.code
    except NoSuchSource as error:
        raise Failure(str(error), NO) from error
    except OSError as error:
        raise Failure(f"{where[0]}:{where[1]} over {transport}: {error}: is the router running?", NO) from error
    if final < 200:
        raise Failure(
            f"no final answer within {timeout:g} s: is the router running, and is this address a source of one of its "
            "peers? To all others it is silent.",
            NO,
        )


def _listening(settings: Settings, transport: str) -> tuple[str, int]:
    entries = {"udp": settings.listen.udp, "tcp": settings.listen.tcp, "tls": settings.listen.tls}[transport]
    if not entries:
        raise Failure(f"sipacr.yaml has no `listen: {transport}:`; say where with --to", MISCONFIGURED)
    host, port = entries[0]
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port


def _show(shown: Shown, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"sent": shown.sent, "after": round(shown.after, 6), "message": shown.text}))
        return
    arrow = ">>> sent" if shown.sent else "<<< received"
    click.secho(f"{arrow} after {shown.after * 1000:.1f} ms", bold=True, err=False)
    click.echo(shown.text.replace("\r\n", "\n").rstrip() + "\n")


@click.command()
@click.argument("names", nargs=-1)
@click.option("--days", default=365, show_default=True, type=click.IntRange(1, 3650))
@click.option(
    "--certificate", type=click.Path(path_type=Path), help="Default: as in sipacr.yaml, else certs/sipacr.crt"
)
@click.option("--key", type=click.Path(path_type=Path), help="Default: as in sipacr.yaml, else certs/sipacr.key")
@click.option("--force", is_flag=True, help="Replace a pair that exists.")
@click.pass_obj
def certs(
    context: Context, names: tuple[str, ...], days: int, certificate: Path | None, key: Path | None, force: bool
) -> None:
    """Make a self-signed certificate and key for a trial of TLS, for NAMES (default: localhost 127.0.0.1 ::1)."""
    from sipacr.sip.certificates import write_self_signed

    if certificate is None or key is None:
        certificate, key = _configured_pair(context, certificate, key)
    if force:
        certificate.unlink(missing_ok=True)
        key.unlink(missing_ok=True)
    chosen = list(names) or ["localhost", "127.0.0.1", "::1"]
    try:
        write_self_signed(certificate, key, chosen, days, datetime.datetime.now(datetime.UTC))
    except FileExistsError as error:
        raise Failure(f"{error.filename} exists; --force replaces it", NO) from error
    except (OSError, ValueError) as error:
        raise Failure(f"the pair cannot be written: {error}", MISCONFIGURED) from error
    click.echo(f"wrote {certificate} and {key} (readable by you only), for {', '.join(chosen)}, {days} days")
    click.echo("For a trial only: peers that check certificates will refuse it unless they trust this very file.")


def _configured_pair(context: Context, certificate: Path | None, key: Path | None) -> tuple[Path, Path]:
    """Where sipacr.yaml says, else certs/ beside it; without settings certs/ here."""
    folder = context.path.parent if context.found else Path()
    tls = context.settings.tls if context.found else None  # with errors in it the command ends here
    return (
        certificate or (tls.certificate if tls else None) or folder / "certs" / "sipacr.crt",
        key or (tls.key if tls else None) or folder / "certs" / "sipacr.key",
    )


COMMANDS: list[click.Command] = [init, run, reload, status, probe, certs]
