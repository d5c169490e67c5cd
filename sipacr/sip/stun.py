"""The STUN keep-alive of RFC 5626 4.4.2: answers a Binding request with the address it came from (RFC 5389)."""

import socket

_COOKIE = b"\x21\x12\xa4\x42"
_REQUEST = b"\x00\x01"
_SUCCESS = b"\x01\x01"


def binding_response(data: bytes, host: str, port: int) -> bytes | None:
    """The answer to a Binding request, or None if `data` is none."""
    if len(data) < 20 or data[:2] != _REQUEST or data[4:8] != _COOKIE:
        return None
    if int.from_bytes(data[2:4], "big") != len(data) - 20 or len(data) % 4:
        return None
    transaction = data[4:20]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    address = socket.inet_pton(family, host)
    masked = bytes(a ^ b for a, b in zip(address, transaction, strict=False))
    masked_port = port ^ int.from_bytes(_COOKIE[:2], "big")
    value = bytes((0, 2 if family == socket.AF_INET6 else 1)) + masked_port.to_bytes(2, "big") + masked
    attribute = b"\x00\x20" + len(value).to_bytes(2, "big") + value  # XOR-MAPPED-ADDRESS
    return _SUCCESS + len(attribute).to_bytes(2, "big") + transaction + attribute
