"""Builds all parts from the settings, starts them, reloads them, stops them; the only module that knows them all.

The way of one INVITE: a socket (`sip.udp`, `sip.streams`) -> `sip.front` (whole? parse, gate, facts) -> `router`
(decide, contacts) -> `sip.answer` -> the same socket.
"""

import asyncio
import contextlib
import datetime
import gc
import logging
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import uvloop

import sipacr
from sipacr import configuration, control
from sipacr.configuration import Configuration
from sipacr.figures import Figures
from sipacr.local import local_addresses, raise_file_limit
from sipacr.recorder import Recorder
from sipacr.relay import Relay
from sipacr.router import Router
from sipacr.routing.directory import Peer
from sipacr.settings import Listen, Settings
from sipacr.sip.certificates import CertificateFault, client_context, server_context
from sipacr.sip.dns import Names
from sipacr.sip.exchange import Listening
from sipacr.sip.front import Front
from sipacr.sip.library import Library, LibraryFault, self_check
from sipacr.sip.message import Parser
from sipacr.sip.sources import Sources
from sipacr.sip.strangers import Strangers, read_bans, write_bans
from sipacr.sip.streams import StreamListener, open_stream
from sipacr.sip.udp import UdpSocket, open_udp
from sipacr.sip.udp import self_check as udp_self_check
from sipacr.store import Database, StoreError
from sipacr.store.writer import SWITCH
from sipacr.supervisor import supervise

if TYPE_CHECKING:
    from sipacr.metrics import Metrics
    from sipacr.webhook import Webhook

log = logging.getLogger("sipacr")

MISCONFIGURED = 2  # exit status
_HEARTBEAT = 1.0  # seconds
_LOOK = 0.1  # seconds between two looks at how late the loop is
_DNS_FIRST = 1.0  # seconds that a start waits for the names of peers; what comes meanwhile waits in the sockets


@dataclass(frozen=True, slots=True)
class Bound:
    """One bound socket. The supervisor opens it and every router inherits it."""

    kind: Literal["udp", "tcp", "tls"]
    host: str
    port: int
    sock: socket.socket


def run(path: Path, *, verbose: bool) -> int:
    """Run the router under its supervisor until it is told to stop; returns the exit status.

    Started by hand, so any error in the files, the certificates or the addresses is told, and nothing starts.
    """
    first, problems = configuration.load(path)
    for problem in problems:
        print(problem, file=sys.stderr)
    if first is None:
        return MISCONFIGURED
    try:
        tls = _tls(first.settings)
        _client_tls(first.settings)
        listening = _open(first.settings.listen)
        control.socket_path(first.settings.store)
    except (CertificateFault, OSError, ValueError) as error:
        print(f"sipacr: {error}", file=sys.stderr)
        return MISCONFIGURED
    if broken := _store_problem(first.settings.store):
        log.critical("%s: running without it, rules that need no store go on", broken)
    secret = os.urandom(16)  # for To tags: a restarted router answers retransmissions alike
    last_good = configuration.last_good_folder(first.settings.store)
    configuration.keep_last_good(first, last_good)

    def router(heartbeat: int, restarted: bool) -> None:
        loaded = _load_again(path, last_good, first) if restarted else first
        certificates = _tls_again(loaded.settings, tls) if restarted else tls
        service = Service(path, loaded, listening, certificates, secret, last_good, heartbeat, verbose=verbose)
        uvloop.run(service.serve())

    try:
        return supervise(router)
    finally:
        with contextlib.suppress(OSError):
            control.socket_path(first.settings.store).unlink()


def _load_again(path: Path, last_good: Path, first: Configuration) -> Configuration:
    """After a crash: the files as they are now, or if they are broken the last that were not, or those of the start."""
    loaded, problems = configuration.load(path)
    if loaded is not None:
        return loaded
    for problem in problems:
        log.error("%s", problem)
    log.critical("%s has errors: running with the last good rules in %s", path, last_good)
    kept = configuration.load_last_good(path, last_good)
    if kept is None:
        log.critical("there are no last good rules either: running with those of the start")
        return first
    return kept


def _tls_again(settings: Settings, inherited: ssl.SSLContext | None) -> ssl.SSLContext | None:
    """After a crash: the certificates as they are now, or if they are broken those that the supervisor has."""
    try:
        return _tls(settings)
    except CertificateFault as error:
        log.critical("%s: running with the certificates of the start", error)
        return inherited


def _open(listen: Listen) -> list[Bound]:
    """All listening sockets. Raises OSError that says which address and what to do."""
    raise_file_limit()
    bound: list[Bound] = []
    for kind, addresses in (("udp", listen.udp), ("tcp", listen.tcp), ("tls", listen.tls)):
        for host, port in addresses:
            try:
                sock = open_udp(host, port) if kind == "udp" else open_stream(host, port)
            except OSError as error:
                hint = "is another router or PBX running there?" if error.errno == 98 else "check `listen`"
                raise OSError(f"cannot listen on {kind} {host} port {port}: {error.strerror}; {hint}") from error
            bound.append(Bound(kind, host, port, sock))  # type: ignore[arg-type]  # kind is one of the three
    return bound


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls is None:
        return None
    files = settings.tls
    return server_context(files.certificate, files.key, files.clients, datetime.datetime.now(datetime.UTC))


def _client_tls(settings: Settings) -> ssl.SSLContext:
    """For the connections that we open. Raises CertificateFault."""
    files = settings.tls
    if files is None:
        return client_context(None, None, None)
    return client_context(files.certificate, files.key, files.ca)


class Service:
    """One router: from its start in the child process to its end."""

    def __init__(
        self,
        path: Path,
        loaded: Configuration,
        listening: Iterable[Bound],
        tls: ssl.SSLContext | None,
        secret: bytes,
        last_good: Path,
        heartbeat: int,
        *,
        verbose: bool,
    ) -> None:
        self._loaded = loaded
        self._listening = list(listening)
        self._tls = tls
        self._secret = secret
        self._last_good = last_good
        self._heartbeat = heartbeat
        self._verbose = verbose
        self._path = path
        self._started = time.time()
        self._refused: list[str] = []  # problems of the last reload, if it was refused
        self._udp: list[UdpSocket] = []
        self._streams: list[StreamListener] = []
        self._names = Names(self._take_sources)
        self._reloading = asyncio.Lock()
        self._sources = Sources((), {})
        self.strangers = Strangers(lambda host: self._sources.is_peers(host), time.time)

    async def serve(self) -> None:
        """Start everything, run until SIGTERM or SIGINT or until the supervisor is gone, stop everything."""
        sys.setswitchinterval(SWITCH)
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        self._at_once = asyncio.Event()
        self._start_stack()
        self._names.take(self._loaded.settings.directory.peers.values())
        resolving = self._loop.create_task(self._names.follow())
        await self._names.first_answers(_DNS_FIRST)
        self._take_sources()
        self.strangers.remember(read_bans(_bans_file(self._loaded.settings)))
        self._start_sockets()
        self._beat()
        self._looking_at = self._loop.time()
        self._look()
        commands = {
            "reload": lambda _: self._reload(),
            "reload-tested": lambda _: self._reload(tested=True),
            "status": lambda _: self._status(),
            "calls": self._show_calls,
            "hangup": self._hang_up_calls,
            "bans": lambda _: self._show_bans(),
            "ban": self._ban,
            "unban": self._unban,
            "hangup-all": lambda _: self._hang_up_calls(None),
        }
        try:
            server = await control.serve(control.socket_path(self._loaded.settings.store), commands)
        except OSError as error:  # calls matter more than commands
            log.critical("no control socket: %s; `sipacr reload` and `status` do not work", error)
            server = None
        page = await self._serve_metrics()
        self.webhook = await self._loop.run_in_executor(None, self._open_webhook)
        self._loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._told_to_stop)
        gc.collect()
        gc.freeze()  # the rules live as long as the process: no collection need look at them
        log.info("sipacr %s answers on %s; rules %s", sipacr.__version__, self._where(), self._loaded.ruleset.version)
        await self._stopped.wait()
        await self._drain()
        for listening_ in (server, page):
            if listening_ is not None:
                listening_.close()
        if self.webhook is not None:
            await self._loop.run_in_executor(None, self.webhook.close)
        resolving.cancel()
        self.relay.close()
        for listening in self._listeners():
            listening.close()
        self.router.close()
        log.info("stopped after %d calls", self.front.counts["invites"])

    def _told_to_stop(self) -> None:
        """SIGTERM or SIGINT; a second one does not wait for calls to end."""
        if self._stopped.is_set():
            self._at_once.set()
        self._stopped.set()

    async def _drain(self) -> None:
        """Let relayed calls end; new ones, redirected ones too, are sent elsewhere."""
        self.router.draining = True
        draining = self._loop.create_task(self.relay.drain(self._loaded.settings.drain))
        impatient = self._loop.create_task(self._at_once.wait())
        await asyncio.wait((draining, impatient), return_when=asyncio.FIRST_COMPLETED)
        for task in (draining, impatient):
            task.cancel()

    def _start_stack(self) -> None:
        try:
            library = Library()
            parser = Parser(library, self_check(library))
            udp_self_check()
        except LibraryFault as error:
            log.critical("%s", error)
            raise SystemExit(MISCONFIGURED) from error
        directory = self._loaded.settings.directory
        self.router = Router(self._loaded, time.time, verbose=self._verbose)
        self.metrics = self._make_metrics()
        route = self.router.route if self.metrics is None else self.metrics.timed(self.router.route)
        self.front = Front(parser, route, self.router.fallback, self._secret, time.monotonic)
        self._take_headers(self._loaded)
        self.relay = Relay(self._loop, self.front, parser, directory, self.router.state, self._find, self._names)
        self.front.relay = self.relay.inlet
        self.recorder = Recorder(
            self.relay.calls, self.router.submit, self.router.is_shared, self._loaded.engine, self._loaded.settings.keep
        )
        self.recorder.recover()
        self.relay.log_ends()
        if self.metrics is not None:
            self.metrics.watch(self.relay.calls)
            self.metrics.parts = Figures(self.router, self.strangers, self.relay, self.front, self._peers)

    def _make_metrics(self) -> "Metrics | None":
        if self._loaded.settings.metrics is None:
            return None
        from sipacr.metrics import Metrics  # a tenth of a second that only those pay who want it

        return Metrics()

    async def _serve_metrics(self) -> asyncio.AbstractServer | None:
        where = self._loaded.settings.metrics
        if self.metrics is None or where is None:
            return None
        try:
            return await self.metrics.serve(*where)
        except OSError as error:
            log.error("no metrics on %s port %d: %s", *where, error)
            return None

    def _open_webhook(self) -> "Webhook | None":
        wanted = self._loaded.settings.webhook
        if wanted is None:
            return None
        from sipacr.webhook import TokenError, Webhook, read_token  # as with the metrics

        try:
            return Webhook(*wanted.http, read_token(wanted.token_file), self._loaded.engine, self.router.submit)
        except (OSError, TokenError) as error:  # calls matter more
            log.error("no webhook on %s port %d: %s", *wanted.http, error)
            return None

    def _take_webhook(self, loaded: Configuration) -> str | None:
        """Another configuration for the webhook; what is wrong with its token."""
        if self.webhook is None or loaded.settings.webhook is None:
            return None
        from sipacr.webhook import TokenError, read_token

        try:
            self.webhook.take(loaded.engine, read_token(loaded.settings.webhook.token_file))
        except TokenError as error:
            return f"{error}; the webhook goes on with what it had"
        return None

    def _start_sockets(self) -> None:
        listen, exchange, door = self._loaded.settings.listen, self.relay.exchange, self.relay.door
        came = self.strangers.came
        self.front.set_own_addresses(_own_addresses(self._listening, listen.public))
        udp: dict[int, UdpSocket] = {}
        for number, bound in enumerate(self._listening):
            if bound.kind == "udp":
                udp[number] = UdpSocket(bound.sock, self._loop, self._find, door.datagram, number, door.waited, came)
            else:
                tls = self._tls if bound.kind == "tls" else None
                self._streams.append(StreamListener(bound.sock, self._loop, self._find, door, tls, exchange, came))
        self._udp = list(udp.values())
        addresses = [Listening(bound.kind, bound.host, bound.port) for bound in self._listening]
        exchange.listen(addresses, udp, listen.public)
        try:
            exchange.take_tls(_client_tls(self._loaded.settings))
        except CertificateFault as error:  # after a crash; what needs no TLS goes on
            log.critical("%s: peers cannot be called by TLS", error)
        self.relay.take(self._loaded.settings.directory)

    def _take_headers(self, loaded: Configuration) -> None:
        """Read those headers of each request that somebody asks for."""
        named = {peer.dialled_from for peer in loaded.settings.directory.peers.values()} - {"request-uri", "to"}
        self.front.read_headers((*loaded.ruleset.headers, *named))

    def _take_sources(self) -> None:
        """Tell peers by what DNS said last; its answers come while calls go on."""
        settings = self._loaded.settings
        self._sources = Sources(settings.directory.peers.values(), self._names.addresses, self._names.targets)
        self.strangers.take(settings.strangers)
        for sock in self._udp:
            sock.forget_sources()

    def _find(self, host: str, port: int) -> Peer | None:
        return None if self.strangers.is_banned(host) else self._sources.find(host, port)

    def _hang_up(self) -> None:
        """SIGHUP."""
        self._task = self._loop.create_task(self._reload())

    async def _reload(self, *, tested: bool = False) -> control.Answer:
        """Read all files anew. Errors anywhere, with `tested` also golden calls that fail, leave all as it is."""
        async with self._reloading:
            started = time.monotonic()
            loaded, problems = await self._loop.run_in_executor(None, configuration.load, self._path)
            texts = [str(problem) for problem in problems]
            if loaded is not None:
                try:
                    tls = await self._loop.run_in_executor(None, _tls, loaded.settings)
                    client_tls = await self._loop.run_in_executor(None, _client_tls, loaded.settings)
                except CertificateFault as error:
                    texts.append(str(error))
                    loaded = None
            if loaded is not None and tested:
                broken = await self._loop.run_in_executor(None, configuration.broken_golden_calls, loaded)
                texts += broken
                loaded = None if broken else loaded
            if loaded is None:
                self._refused = texts
                log.error("reload refused, the running rules stay:\n%s", "\n".join(texts))
                return {"ok": False, "problems": texts, "said": "Refused: the running rules stay."}
            texts += await self._exchange(loaded, tls, client_tls)
            said = f"Reloaded in {time.monotonic() - started:.2f} s: rules {loaded.ruleset.version}."
            for text in texts:
                log.warning("%s", text)
            log.info("%s", said)
            return {"ok": True, "problems": texts, "said": said}

    async def _exchange(
        self, loaded: Configuration, tls: ssl.SSLContext | None, client_tls: ssl.SSLContext
    ) -> list[str]:
        """Put the new set in place of the old, calls decided before keep what they were told; returns warnings."""
        said = []
        if told := await self._loop.run_in_executor(None, self._take_webhook, loaded):
            said.append(told)
        if _door(loaded.settings) != _door(self._loaded.settings):
            said.append("`learn: http` has changed: that takes a restart; the rest is reloaded")
        for name in ("listen", "metrics"):
            if getattr(loaded.settings, name) != getattr(self._loaded.settings, name):
                said.append(f"`{name}` has changed: that takes a restart; the rest is reloaded")
        if broken := await self._loop.run_in_executor(None, _store_problem, loaded.settings.store):
            said.append(broken)
        self._names.take(loaded.settings.directory.peers.values())
        said += await self._names.refresh()
        self.router.take(loaded)
        self.recorder.take(loaded.engine, loaded.settings.keep)
        self._take_headers(loaded)
        self._tls = tls
        for listener in self._streams:
            listener.exchange_tls(tls)
        self.relay.exchange.take_tls(client_tls)
        self._loaded = loaded
        self._take_sources()
        self.relay.take(loaded.settings.directory)
        self._refused = []
        await self._loop.run_in_executor(None, configuration.keep_last_good, loaded, self._last_good)
        return said

    async def _status(self) -> control.Answer:
        return {
            "ok": True,
            "version": sipacr.__version__,
            "pid": os.getpid(),
            "since": datetime.datetime.fromtimestamp(self._started, datetime.UTC).isoformat(timespec="seconds"),
            "listening": self._where(),
            "rules": self._loaded.ruleset.version,
            "running_on": "last good rules" if self._loaded.settings.path.parent == self._last_good else "the files",
            "refused_reload": self._refused,
            "calls": self.front.counts["invites"],
            "our_faults": self.front.counts["errors"] + self.recorder.faults,
            "strangers": sum(listening.strangers for listening in self._listeners()),
            "bans": len(self.strangers.bans()),
            "dropped": sum(sock.dropped for sock in self._udp),
            "connections": sum(len(listener.connections) for listener in self._streams),
            "relay": self.relay.status(),
            "trouble": dict(self.router.loud.counts),
            "not_written": self.router.not_written,
        }

    async def _show_calls(self, _: str) -> control.Answer:
        return {"ok": True, "rows": self.relay.rows()}

    async def _hang_up_calls(self, call_id: str | None) -> control.Answer:
        count = self.relay.hang_up(call_id)
        log.info("hung up by command: %d calls", count)
        return {"ok": True, "calls": count}

    async def _show_bans(self) -> control.Answer:
        rows = [lambda ban=ban: ban._asdict() for ban in self.strangers.bans()]
        return {"ok": True, "rows": rows}

    async def _ban(self, rest: str) -> control.Answer:
        """`ADDRESS SECONDS`."""
        address, _, seconds = rest.partition(" ")
        return {"ok": self.strangers.ban(address, float(seconds), "by command")}

    async def _unban(self, address: str) -> control.Answer:
        return {"ok": self.strangers.lift(address)}

    def _peers(self) -> Iterable[str]:
        """Their names."""
        return self._loaded.settings.directory.peers

    def _listeners(self) -> list[UdpSocket | StreamListener]:
        return [*self._udp, *self._streams]

    def _where(self) -> str:
        return ", ".join(f"{bound.kind} {bound.host}:{bound.port}" for bound in self._listening)

    def _beat(self) -> None:
        """Tell the supervisor that the loop turns; when it is gone, there is nobody to start us again: stop."""
        try:
            os.write(self._heartbeat, b".")
        except BrokenPipeError:
            log.critical("the supervisor is gone: stopping")
            self._at_once.set()
            self._stopped.set()
            return
        self.recorder.tick()
        self.router.rest()
        if self.strangers.changed:
            self.strangers.changed = False
            path, bans = _bans_file(self._loaded.settings), self.strangers.bans()
            self._loop.run_in_executor(None, write_bans, path, bans)
        self._loop.call_later(_HEARTBEAT, self._beat)

    def _look(self) -> None:
        """See how late the loop is."""
        now = self._loop.time()
        self.relay.door.late(max(0.0, now - self._looking_at))
        self._looking_at = now + _LOOK
        self._loop.call_at(self._looking_at, self._look)


def _bans_file(settings: Settings) -> Path:
    return settings.store.with_suffix(".bans")


def _door(settings: Settings) -> tuple[str, int] | None:
    """Where the webhook listens."""
    return settings.webhook.http if settings.webhook is not None else None


def _store_problem(path: Path) -> str | None:
    """What is wrong with the store, which is made here if there is none. It never keeps calls from being answered."""
    try:
        Database(path).close()
    except StoreError as error:
        return str(error)
    return None


def _own_addresses(listening: Iterable[Bound], public: str | None) -> Iterable[tuple[str, int]]:
    """All that a Via of ours could say: where we listen, every local address for a wildcard, and the public one."""
    for bound in listening:
        hosts = local_addresses(bound.host) if bound.host in ("0.0.0.0", "::") else [bound.host]
        for host in (*hosts, *([public] if public else [])):
            yield host, bound.port
