"""The one thing that is ever done to SDP: an answer that accepts nothing. All other bodies pass byte for byte."""

import re

_TIMES = re.compile(rb"^t=\d+ \d+(?=\r?$)", re.MULTILINE)
_MEDIA = re.compile(rb"^m=(\S+) \d+(?:/\d+)? (.*?)\r?$", re.MULTILINE)


def refusing_answer(offer: bytes, host: str) -> bytes:
    """The answer to `offer` with all ports 0 (RFC 3264 6), for a call that nobody wants any more. Empty for no SDP."""
    media = [b"m=%b 0 %b\r\n" % (kind, rest) for kind, rest in _MEDIA.findall(offer)]
    if not media:
        return b""
    times = b"\r\n".join(_TIMES.findall(offer)) or b"t=0 0"  # those of the offer
    kind = b"IP6" if ":" in host else b"IP4"
    address = host.encode()
    session = b"v=0\r\no=- 0 0 IN %b %b\r\ns=-\r\nc=IN %b %b\r\n%b\r\n" % (kind, address, kind, address, times)
    return session + b"".join(media)
