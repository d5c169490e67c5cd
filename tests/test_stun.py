"""The STUN keep-alive: an answer that says where the request came from, or none."""

import pytest

from sipacr.sip.stun import binding_response

REQUEST = b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(range(12))


def test_a_binding_request_is_told_its_address() -> None:
    # RFC 5769 2.2 has this address and transaction ID with these very bytes.
    transaction = bytes.fromhex("b7e7a701bc34d686fa87dfae")
    answer = binding_response(b"\x00\x01\x00\x00\x21\x12\xa4\x42" + transaction, "192.0.2.1", 32853)
    assert answer is not None
    assert answer[:20] == b"\x01\x01\x00\x0c\x21\x12\xa4\x42" + transaction
    assert answer[20:] == bytes.fromhex("002000080001a147e112a643")


def test_ipv6() -> None:
    transaction = bytes.fromhex("b7e7a701bc34d686fa87dfae")
    answer = binding_response(
        b"\x00\x01\x00\x00\x21\x12\xa4\x42" + transaction, "2001:db8:1234:5678:11:2233:4455:6677", 32853
    )
    assert answer is not None
    assert answer[20:] == bytes.fromhex("002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9")


@pytest.mark.parametrize(
    "data",
    [b"", REQUEST[:19], REQUEST + b"\0", b"\x00\x02" + REQUEST[2:], REQUEST[:4] + b"\0\0\0\0" + REQUEST[8:]],
)
def test_anything_else_gets_no_answer(data: bytes) -> None:
    assert binding_response(data, "192.0.2.1", 1) is None
