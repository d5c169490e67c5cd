"""UDP, TCP and TLS on 127.0.0.1 and ::1: framing, keep-alives, strangers, idle connections, TLS of all kinds."""

import asyncio
import datetime
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import Routed
from sip_messages import code, header, invite, request

from sipacr.routing.directory import Peer
from sipacr.sip import streams
from sipacr.sip.answer import Verdict, status
from sipacr.sip.certificates import server_context, write_self_signed
from sipacr.sip.sources import Sources
from sipacr.sip.streams import StreamListener, open_stream
from sipacr.sip.udp import UdpSocket, open_udp

pytestmark = pytest.mark.loopback

NOW = datetime.datetime.now(datetime.UTC)


@dataclass
class Open:
    """A router's sockets on one address."""

    host: str
    udp_port: int
    tcp_port: int
    udp: UdpSocket
    tcp: StreamListener


@asynccontextmanager
async def sockets(
    routed: Routed, trunk: Peer, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None, find: object = None
) -> AsyncIterator[Open]:
    loop = asyncio.get_running_loop()
    peer = Peer("x", "trunk", "redirect", (f"[{host}]:5070" if ":" in host else f"{host}:5070",), trunk.plan)
    lookup = find or Sources([peer], {}).find
    datagrams, connections = open_udp(host, 0), open_stream(host, 0)
    udp = UdpSocket(datagrams, loop, lookup, routed.front.datagram)  # type: ignore[arg-type]
    tcp = StreamListener(connections, loop, lookup, routed.front, tls)  # type: ignore[arg-type]
    try:
        yield Open(host, datagrams.getsockname()[1], connections.getsockname()[1], udp, tcp)
    finally:
        udp.close()
        tcp.close()


async def read_answer(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)


def run(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), 60))  # type: ignore[arg-type]


def over(transport: str, data: bytes) -> bytes:
    return data.replace(b"SIP/2.0/UDP", b"SIP/2.0/" + transport.encode())


# --- UDP ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_batch_of_datagrams_is_answered_each_to_its_sender(routed: Routed, trunk: Peer, host: str) -> None:
    async def story() -> None:
        async with sockets(routed, trunk, host) as opened:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            senders = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(4)]
            for number, sender in enumerate(senders):
                sender.bind((host, 0))
                sender.setblocking(False)
                for call in range(20):
                    data = invite(("call-1@", f"call-{number}-{call}@"), ("branch=", "rport;branch="))
                    sender.sendto(data, (host, opened.udp_port))
            loop = asyncio.get_running_loop()
            for number, sender in enumerate(senders):
                seen = set()
                for _ in range(20):
                    data = await asyncio.wait_for(loop.sock_recv(sender, 65535), 5)
                    seen.add(header(data, "Call-ID")[0])
                    assert f"rport={sender.getsockname()[1]}" in header(data, "Via")[0]
                assert seen == {f"call-{number}-{call}@127.0.0.1" for call in range(20)}
                sender.close()

    run(story)


def test_the_largest_datagram_is_read_whole(routed: Routed, trunk: Peer) -> None:
    async def story() -> None:
        async with sockets(routed, trunk) as opened:
            with socket.socket(type=socket.SOCK_DGRAM) as sender:
                sender.bind(("127.0.0.1", 0))
                sender.setblocking(False)
                base = invite(("branch=", "rport;branch="), ("Contact:", "X-Long: \nContact:"))
                data = base.replace(b"X-Long: ", b"X-Long: " + b"x" * (65_507 - len(base)))
                assert len(data) == 65_507
                sender.sendto(data, ("127.0.0.1", opened.udp_port))
                answer = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sender, 65535), 5)
                assert code(answer) == 302

    run(story)


def test_a_stranger_is_counted_and_never_parsed(routed: Routed, trunk: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routed.front, "datagram", lambda *_: pytest.fail("a stranger's bytes were looked at"))

    async def story() -> None:
        async with sockets(routed, trunk, find=lambda host, port: None) as opened:
            with socket.socket(type=socket.SOCK_DGRAM) as sender:
                sender.sendto(invite(), ("127.0.0.1", opened.udp_port))
            while not opened.udp.strangers:
                await asyncio.sleep(0)
            reader, writer = await asyncio.open_connection("127.0.0.1", opened.tcp_port)
            writer.write(over("TCP", invite()))
            try:
                assert await reader.read() == b""
            except ConnectionResetError:
                pass  # closed with our bytes unread
            assert opened.tcp.strangers == 1
            assert not opened.tcp.connections
            writer.close()

    run(story)


# --- TCP ---------------------------------------------------------------------------------------------------------


def test_requests_on_one_connection_however_they_are_cut(routed: Routed, trunk: Peer) -> None:
    first = over("TCP", invite(body="v=0\r\n"))
    second = over("TCP", invite(("call-1@", "call-2@")))
    stream = b"\r\n\r\n" + first + b"\r\n" + second

    async def story() -> None:
        async with sockets(routed, trunk) as opened:
            for size in (1, 7, 100, len(stream)):
                reader, writer = await asyncio.open_connection("127.0.0.1", opened.tcp_port)
                for at in range(0, len(stream), size):
                    writer.write(stream[at : at + size])
                    await writer.drain()
                assert await reader.readexactly(2) == b"\r\n"  # the answer to the keep-alive (RFC 5626)
                assert header(await read_answer(reader), "Call-ID") == ["call-1@127.0.0.1"]
                assert header(await read_answer(reader), "Call-ID") == ["call-2@127.0.0.1"]
                writer.close()

    run(story)


def test_a_bad_message_that_is_whole_costs_not_the_connection(routed: Routed, trunk: Peer) -> None:
    async def story() -> None:
        async with sockets(routed, trunk) as opened:
            reader, writer = await asyncio.open_connection("127.0.0.1", opened.tcp_port)
            writer.write(over("TCP", invite(("Contact:", "From: <sip:a@b>\nContact:"))))
            writer.write(over("TCP", invite(("Contact:", "No colon\nContact:"))))
            writer.write(over("TCP", invite(("call-1@", "call-2@"))))
            assert [code(await read_answer(reader)) for _ in range(3)] == [400, 400, 302]
            writer.close()

    run(story)


def test_noise_before_a_message_has_its_limits(routed: Routed, trunk: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MESSAGE_TIMEOUT", 0.2)

    async def story() -> None:
        async with sockets(routed, trunk) as opened:
            for noise in (b"\r\n\rX", b"\r\n\rX" + b"y" * 200_000):
                reader, writer = await asyncio.open_connection("127.0.0.1", opened.tcp_port)
                writer.write(noise)
                try:
                    assert await asyncio.wait_for(reader.read(), 5) == b""
                except ConnectionResetError:
                    pass  # closed with some of it unread
                writer.close()

    run(story)


def test_a_peer_that_is_removed_loses_its_connections(routed: Routed, trunk: Peer) -> None:
    peers = [trunk]

    async def story() -> None:
        async with sockets(routed, trunk, find=lambda host, port: peers[0] if peers else None) as opened:
            reader, writer = await asyncio.open_connection("127.0.0.1", opened.tcp_port)
            writer.write(over("TCP", invite()))
            assert code(await read_answer(reader)) == 302
            peers.clear()
            writer.write(over("TCP", invite(("call-1@", "call-2@"))))
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()

    run(story)


def test_an_answer_too_large_for_a_datagram_is_dropped_and_the_next_sent(routed: Routed, trunk: Peer) -> None:
    async def story() -> None:
        async with sockets(routed, trunk) as opened:
            with socket.socket(type=socket.SOCK_DGRAM) as sender:
                sender.bind(("127.0.0.1", 0))
                sender.setblocking(False)
                route = "Record-Route: <sip:" + "x" * 64_900 + ";lr>\nContact:"
                routed.verdict = lambda request: Verdict(status(302), b"X-Long: " + b"x" * 600 + b"\r\n")
                for number in range(3):  # so quick that the socket is polled
                    sender.sendto(
                        invite((";branch=", ";rport;branch="), ("Contact:", route), ("call-1@", f"{number}@")),
                        ("127.0.0.1", opened.udp_port),
                    )
                    sender.sendto(
                        invite((";branch=", ";rport;branch="), ("call-1@", f"good-{number}@")),
                        ("127.0.0.1", opened.udp_port),
                    )
                for _ in range(3):
                    data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sender, 65535), 5)
                    assert header(data, "Call-ID")[0].startswith("good-")
                assert opened.udp.dropped == 3

    run(story)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (invite(("Content-Length: 0\n", "")), 400),
        (invite(("Content-Length: 0", "Content-Length: 0\nContent-Length: 0")), 400),
        (invite(("Content-Length: 0", "Content-Length: -5")), 400),
        (invite(("Content-Length: 0", "Content-Type: a/b\nContent-Length: 70000")), 513),
        (request("ACK", ("Content-Length: 0\n", "")), 0),
        (b"x" * 66_000, 0),
    ],
)
def test_where_the_end_cannot_be_told_the_connection_ends(
    routed: Routed, trunk: Peer, data: bytes, expected: int
) -> None:
    async def story() -> None:
        async with sockets(routed, trunk) as opened:
            reader, writer = await asyncio.open_connection("127.0.0.1", opened.tcp_port)
            writer.write(data)
            try:
                answer = await asyncio.wait_for(reader.read(), 5)
            except ConnectionResetError:
                answer = b""
            assert code(answer) == expected
            writer.close()

    run(story)


def test_a_message_that_never_ends_is_cut_off(routed: Routed, trunk: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MESSAGE_TIMEOUT", 0.1)

    async def story() -> None:
        async with sockets(routed, trunk) as opened:
            for part in (b"INV", over("TCP", invite(("Content-Length: 0", "Content-Type: a/b\nContent-Length: 99")))):
                reader, writer = await asyncio.open_connection("127.0.0.1", opened.tcp_port)
                writer.write(part)
                assert await asyncio.wait_for(reader.read(), 5) == b""
                writer.close()

    run(story)


def test_idle_connections_do_not_hinder_a_new_one(routed: Routed, trunk: Peer) -> None:
    async def story() -> None:
        async with sockets(routed, trunk) as opened:
            idle = [await asyncio.open_connection("127.0.0.1", opened.tcp_port) for _ in range(400)]
            reader, writer = await asyncio.open_connection("127.0.0.1", opened.tcp_port)
            writer.write(over("TCP", invite()))
            assert code(await read_answer(reader)) == 302
            assert len(opened.tcp.connections) == 401
            for _, each in [*idle, (reader, writer)]:
                each.close()

    run(story)


# --- TLS ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("certs")
    write_self_signed(folder / "a.crt", folder / "a.key", ["localhost", "127.0.0.1"], 10, NOW)
    return folder / "a.crt", folder / "a.key"


def client(pair: tuple[Path, Path], version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(pair[0]))
    context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls(routed: Routed, trunk: Peer, pair: tuple[Path, Path], version: ssl.TLSVersion) -> None:
    async def story() -> None:
        async with sockets(routed, trunk, tls=server_context(*pair, None, NOW)) as opened:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", opened.tcp_port, ssl=client(pair, version), server_hostname="localhost"
            )
            writer.write(over("TLS", invite(("INVITE sip:", "INVITE sips:"))))
            assert code(await read_answer(reader)) == 302
            writer.close()

    run(story)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_tls_and_garbage_are_refused_and_others_served(
    routed: Routed, trunk: Peer, pair: tuple[Path, Path]
) -> None:
    async def story() -> None:
        async with sockets(routed, trunk, tls=server_context(*pair, None, NOW)) as opened:
            garbage_reader, garbage = await asyncio.open_connection("127.0.0.1", opened.tcp_port)
            garbage.write(over("TLS", invite()))
            old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
            old.set_ciphers("ALL:@SECLEVEL=0")
            old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection("127.0.0.1", opened.tcp_port, ssl=old)
            assert b"SIP/2.0" not in await asyncio.wait_for(garbage_reader.read(), 5)
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", opened.tcp_port, ssl=client(pair), server_hostname="localhost"
            )
            writer.write(over("TLS", invite()))
            assert code(await read_answer(reader)) == 302
            writer.close()
            garbage.close()

    run(story)


def test_client_certificates_are_demanded_if_so_set(routed: Routed, trunk: Peer, pair: tuple[Path, Path]) -> None:
    async def story() -> None:
        async with sockets(routed, trunk, tls=server_context(*pair, pair[0], NOW)) as opened:
            where = ("127.0.0.1", opened.tcp_port)
            reader, writer = await asyncio.open_connection(*where, ssl=client(pair), server_hostname="localhost")
            writer.write(over("TLS", invite()))
            with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
                await read_answer(reader)
            known = client(pair)
            known.load_cert_chain(*pair)
            reader, writer = await asyncio.open_connection(*where, ssl=known, server_hostname="localhost")
            writer.write(over("TLS", invite()))
            assert code(await read_answer(reader)) == 302
            writer.close()

    run(story)


def test_new_certificates_are_for_new_connections(
    routed: Routed, trunk: Peer, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    new = tmp_path / "b.crt", tmp_path / "b.key"
    write_self_signed(*new, ["localhost"], 10, NOW)

    async def story() -> None:
        async with sockets(routed, trunk, tls=server_context(*pair, None, NOW)) as opened:
            where = ("127.0.0.1", opened.tcp_port)
            old_reader, old_writer = await asyncio.open_connection(
                *where, ssl=client(pair), server_hostname="localhost"
            )
            opened.tcp.exchange_tls(server_context(*new, None, NOW))
            with pytest.raises(ssl.SSLCertVerificationError):
                await asyncio.open_connection(*where, ssl=client(pair), server_hostname="localhost")
            _, new_writer = await asyncio.open_connection(*where, ssl=client(new), server_hostname="localhost")
            old_writer.write(over("TLS", invite()))
            assert code(await read_answer(old_reader)) == 302
            old_writer.close()
            new_writer.close()

    run(story)


@pytest.mark.parametrize(("wildcard", "called"), [("0.0.0.0", "127.0.0.77"), ("::", "::1")])
def test_an_answer_leaves_from_the_address_that_was_called(
    routed: Routed, trunk: Peer, wildcard: str, called: str
) -> None:
    async def story() -> None:
        async with sockets(routed, trunk, wildcard, find=lambda host, port: trunk) as opened:
            family = socket.AF_INET6 if ":" in called else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
                sender.connect((called, opened.udp_port))  # receives from nowhere else
                for call in range(3):
                    sender.send(invite(("call-1@", f"{call}@"), (";branch=", ";rport;branch=")))
                    data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sender, 65535), 5)
                    assert code(data) == 302

    run(story)
