"""PJSIP through cffi: find the library, load it, start it, and prove that our declarations are its layout.

Everything here runs on the one thread that called `start`: PJSIP ends the process if another one enters it.
"""

import importlib.machinery
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cffi

from sipacr.sip.declarations import LINUX, PJSIP

ffi = cffi.FFI()
ffi.cdef(PJSIP)
ffi.cdef(LINUX)

MAX_MESSAGE = 65_535  # bytes; also the largest datagram

_POOL_CAPACITY = 16 << 20  # bytes that PJSIP may keep for reuse; parsing needs one pool
_CACHING_POOL_BYTES = 4096  # sizeof(pj_caching_pool) is about 1,200 in 2.15; PJSIP fills it, we only lend the memory

CANNED = (
    b"INVITE sip:+48221112233;x=1@gw.example.net:5062;transport=tcp SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.1:5077;rport;branch=z9hG4bKself;maddr=192.0.2.9\r\n"
    b'From: "Jan" <sip:jan%40home@host.example;user=phone>;tag=from-tag\r\n'
    b"To: <tel:+48601;phone-context=x>;tag=to-tag\r\n"
    b"Call-ID: canned@example\r\n"
    b"CSeq: 4711 INVITE\r\n"
    b"Max-Forwards: 68\r\n"
    b"Require: 100rel, timer\r\n"
    b"Contact: <sips:a@b>\r\n"
    b"Bad header\r\n"
    b"Content-Length: 0\r\n\r\n"
)


class LibraryFault(Exception):
    """PJSIP cannot be used; the message says why and what to do."""


def extension_path() -> Path:
    """The file of the extension module that carries PJSIP. Raises LibraryFault if the package is not installed."""
    spec = importlib.util.find_spec("pjsua2")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for suffix in importlib.machinery.EXTENSION_SUFFIXES:
            path = Path(folder) / f"_pjsua2{suffix}"
            if path.exists():
                return path
    raise LibraryFault("PJSIP is not installed: pip install pjsua2-python==2.15.1.post1")


class Library:
    """The loaded and started stack. One per process; made and used by one thread."""

    def __init__(self) -> None:
        path = extension_path()
        try:
            self.lib: Any = ffi.dlopen(str(path))
        except OSError as error:
            raise LibraryFault(f"{path} cannot be loaded: {error}") from error
        lib = self.lib
        if not self.version.startswith("2.15"):
            raise LibraryFault(f"{path} is PJSIP {self.version}; sipacr declares the layout of 2.15.1")
        lib.pj_log_set_level(0)  # PJSIP prints broken messages whole: strangers would write our log
        self._check("pj_init", lib.pj_init())
        lib.pj_log_set_level(0)  # pj_init sets it back
        self._check("pjlib_util_init", lib.pjlib_util_init())
        self._memory = ffi.new("char[]", _CACHING_POOL_BYTES)
        policy = ffi.addressof(lib, "pj_pool_factory_default_policy")
        lib.pj_caching_pool_init(self._memory, policy, _POOL_CAPACITY)
        endpoint = ffi.new("pjsip_endpoint **")
        self._check("pjsip_endpt_create", lib.pjsip_endpt_create(self._memory, b"sipacr", endpoint))
        self.endpoint = endpoint[0]
        self.pool = lib.pjsip_endpt_create_pool(self.endpoint, b"rx", 16_000, 16_000)
        if self.pool == ffi.NULL:
            raise LibraryFault("PJSIP gives no memory pool")

    @property
    def version(self) -> str:
        return str(ffi.string(self.lib.pj_get_version()).decode())

    @staticmethod
    def _check(function: str, status: int) -> None:
        if status != 0:
            raise LibraryFault(f"{function} failed with PJSIP status {status}")


def self_check(library: Library) -> "Schemes":
    """Parse a canned message, compare every field that is read later. Raises LibraryFault naming one that differs."""
    lib = library.lib
    rdata = ffi.new("pjsip_rx_data *")
    rdata.tp_info.pool = library.pool
    errors = ffi.addressof(rdata.msg_info, "parse_err")
    errors.prev = errors.next = errors
    buffer = ffi.new("char[]", CANNED)
    if lib.pjsip_parse_rdata(buffer, len(CANNED), rdata) == ffi.NULL:
        raise LibraryFault("self-check: PJSIP does not parse the canned message")
    for what, read, expected in _checks(rdata, errors):
        seen = read()
        if seen != expected:
            raise LibraryFault(
                f"self-check: the layout of {what} differs (read {seen!r}, expected {expected!r}): "
                f"PJSIP {library.version} at {extension_path()} is not the 2.15.1 build that sipacr declares"
            )
    schemes = Schemes(
        sip=rdata.msg_info.msg.req.uri.vptr,
        sips=ffi.cast("pjsip_sip_uri *", _uri(library, b"sips:a@b")).vptr,
        tel=rdata.msg_info.to.uri.uri.vptr,
        name_addr=rdata.msg_info.from_.uri.vptr,
    )
    lib.pj_pool_reset(library.pool)
    return schemes


Check = tuple[str, Callable[[], object], object]  # what, how it is read, what has to come out


def _checks(rdata: Any, errors: Any) -> tuple[Check, ...]:
    """In this order, because what is wrong early would lead the later ones astray."""
    info = rdata.msg_info
    request = ffi.cast("pjsip_sip_uri *", info.msg.req.uri)
    from_uri = ffi.cast("pjsip_sip_uri *", info.from_.uri.uri)
    to_uri = ffi.cast("pjsip_tel_uri *", info.to.uri.uri)
    return (
        ("message type", lambda: info.msg.type, 0),
        ("method id", lambda: info.msg.req.method.id, 0),
        ("method name", lambda: text(info.msg.req.method.name), "INVITE"),
        ("request user", lambda: text(request.user), "+48221112233;x=1"),
        ("request host", lambda: text(request.host), "gw.example.net"),
        ("request port", lambda: request.port, 5062),
        ("request transport", lambda: text(request.transport_param), "tcp"),
        ("via transport", lambda: text(info.via.transport), "UDP"),
        ("via host", lambda: text(info.via.sent_by.host), "192.0.2.1"),
        ("via port", lambda: info.via.sent_by.port, 5077),
        ("via rport", lambda: info.via.rport_param, 0),
        ("via maddr", lambda: text(info.via.maddr_param), "192.0.2.9"),
        ("via branch", lambda: text(info.via.branch_param), "z9hG4bKself"),
        ("From display", lambda: text(info.from_.uri.display), "Jan"),
        ("From user", lambda: text(from_uri.user), "jan@home"),
        ("From host", lambda: text(from_uri.host), "host.example"),
        ("From tag", lambda: text(info.from_.tag), "from-tag"),
        ("To number", lambda: text(to_uri.number), "+48601"),
        ("To context", lambda: text(to_uri.context), "x"),
        ("To tag", lambda: text(info.to.tag), "to-tag"),
        ("Call-ID", lambda: text(info.cid.id), "canned@example"),
        ("CSeq number", lambda: info.cseq.cseq, 4711),
        ("CSeq method", lambda: text(info.cseq.method.name), "INVITE"),
        ("Max-Forwards", lambda: info.max_fwd.ivalue, 68),
        ("Content-Length", lambda: info.clen.ivalue, 0),
        ("Require count", lambda: info.require.count, 2),
        ("Require value", lambda: text(info.require.values[1]) if info.require.count == 2 else "", "timer"),
        ("parse error", lambda: text(info.parse_err.next.hname) if info.parse_err.next != errors else "none", "Bad"),
        ("body", lambda: info.msg.body, ffi.NULL),
        ("module data", lambda: rdata.mod_data[31], ffi.NULL),
    )


class Schemes:
    """The virtual tables that tell a URI's real struct before it is cast (a urn: read as sip: has a host of 94 TB)."""

    __slots__ = ("name_addr", "sip", "sips", "tel")

    def __init__(self, sip: Any, sips: Any, tel: Any, name_addr: Any) -> None:
        self.sip, self.sips, self.tel, self.name_addr = sip, sips, tel, name_addr


def _uri(library: Library, value: bytes) -> Any:
    return library.lib.pjsip_parse_uri(library.pool, ffi.new("char[]", value), len(value), 0)


def text(value: Any) -> str:
    """A pj_str_t as str. Bytes that are not UTF-8 become U+FFFD: they are compared and logged, never sent on."""
    length = value.slen
    if length <= 0:
        return ""
    return bytes(ffi.unpack(value.ptr, length)).decode("utf-8", "replace")
