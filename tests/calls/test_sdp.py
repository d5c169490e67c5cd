"""The one answer of ours to an offer."""

import pytest

from sipacr.calls.sdp import refusing_answer

OFFER = (
    b"v=0\r\no=far 7 8 IN IP4 203.0.113.1\r\ns=talk\r\nc=IN IP4 203.0.113.1\r\nt=3034423619 3042462419\r\n"
    b"m=audio 4000 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\nm=image 4002 udptl t38\r\nm=video 5000/2 RTP/SAVP 31\r\n"
)


def test_every_media_line_is_refused_in_its_place() -> None:
    assert refusing_answer(OFFER, "192.0.2.1") == (
        b"v=0\r\no=- 0 0 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=3034423619 3042462419\r\n"
        b"m=audio 0 RTP/AVP 8 101\r\nm=image 0 udptl t38\r\nm=video 0 RTP/SAVP 31\r\n"
    )


def test_lines_that_end_with_a_line_feed_alone() -> None:
    assert refusing_answer(OFFER.replace(b"\r\n", b"\n"), "192.0.2.1") == refusing_answer(OFFER, "192.0.2.1")


def test_our_address_may_be_ipv6() -> None:
    assert b"\r\nc=IN IP6 2001:db8::1\r\n" in refusing_answer(OFFER, "2001:db8::1")


@pytest.mark.parametrize("offer", [b"", b"v=0\r\n", b"m=audio\r\n", b"Signal=5\r\n"])
def test_what_offers_nothing_has_no_answer(offer: bytes) -> None:
    assert refusing_answer(offer, "192.0.2.1") == b""
