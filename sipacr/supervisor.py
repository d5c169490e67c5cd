"""The parent process: it holds the sockets and starts the router again within two seconds when that one is gone.

The sockets stay open while no router runs, so that datagrams and connections of those moments wait in the kernel for
the next one. It does nothing else: what does nothing does not crash.
"""

import logging
import os
import select
import signal
import time
from collections.abc import Callable
from typing import NoReturn

log = logging.getLogger("sipacr.supervisor")

SILENCE = 20.0  # seconds without a heartbeat after which a router counts as stuck
_STEADY = 5.0  # seconds of life after which a router's end is no longer part of a series of crashes
_PAUSES = (0.0, 0.2, 0.5, 1.0)  # seconds before the next start, by crashes in a row

Router = Callable[[int, bool], None]


def supervise(router: Router) -> int:
    """Run `router(heartbeat, restarted)` in a child until it ends by itself; returns its exit code.

    `heartbeat` is a file descriptor to which the router writes a byte now and then; when the parent dies, it breaks.
    SIGTERM and SIGINT end both, SIGHUP is passed on.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD})
    crashes = 0
    restarted = False
    while True:
        started = time.monotonic()
        reading, heartbeat = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _be_router(router, heartbeat, restarted)
        os.close(heartbeat)
        status, stopping = _watch(child, reading)
        os.close(reading)
        code = os.waitstatus_to_exitcode(status)
        if stopping or code >= 0:
            return max(code, 0)
        crashes = 0 if time.monotonic() - started > _STEADY else crashes + 1
        pause = _PAUSES[min(crashes, len(_PAUSES) - 1)]
        log.critical("the router died of %s; starting it again in %.1f s", _signal_name(-code), pause)
        time.sleep(pause)
        restarted = True


def _be_router(router: Router, heartbeat: int, restarted: bool) -> NoReturn:
    """In the child: run, and leave without running anything of the parent's."""
    code = 1
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        router(heartbeat, restarted)
        code = 0
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else 1
    except BaseException:
        log.exception("the router ended by an error of its own")
        os.kill(os.getpid(), signal.SIGKILL)  # counts as a crash: it is started again
    finally:
        logging.shutdown()
        os._exit(code)


def _watch(child: int, heartbeat: int) -> tuple[int, bool]:
    """Wait for the child's end, passing on signals and killing it when its heart stops. Returns status and whether we
    were asked to stop."""
    stopping = False
    waited = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
    last_beat = time.monotonic()
    while True:
        received = signal.sigtimedwait(waited, 1.0)
        if received is not None and received.si_signo != signal.SIGCHLD:
            stopping = stopping or received.si_signo != signal.SIGHUP
            os.kill(child, signal.SIGHUP if received.si_signo == signal.SIGHUP else signal.SIGTERM)
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status, stopping
        if select.select([heartbeat], [], [], 0)[0] and os.read(heartbeat, 4096):
            last_beat = time.monotonic()
        if time.monotonic() - last_beat > SILENCE:
            log.critical("the router has not moved for %.0f s; ending it", SILENCE)
            os.kill(child, signal.SIGKILL)
            last_beat = time.monotonic()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
