"""Raw SIP for tests: an INVITE as a trunk sends it, and ways to change one thing in it."""

INVITE = """INVITE sip:+48221112233@127.0.0.1:5060 SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK-1
Max-Forwards: 70
From: "Jan" <sip:+48601000111@127.0.0.1:5070>;tag=from-1
To: <sip:+48221112233@127.0.0.1:5060>
Call-ID: call-1@127.0.0.1
CSeq: 1 INVITE
Contact: <sip:+48601000111@127.0.0.1:5070>
Content-Length: 0

"""


def wire(text: str) -> bytes:
    """The text with the line ends of the wire."""
    return text.replace("\n", "\r\n").encode()


def invite(*changes: tuple[str, str], body: str = "") -> bytes:
    """INVITE with replacements; each must hit."""
    text = INVITE
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    if body:
        text = text.replace("Content-Length: 0", f"Content-Type: application/sdp\nContent-Length: {len(body)}")
    return wire(text) + body.encode()


def request(method: str, *changes: tuple[str, str]) -> bytes:
    """Another method with the same ids."""
    return invite(("INVITE sip", f"{method} sip"), ("1 INVITE", f"1 {method}"), *changes)


def code(data: bytes | None) -> int:
    """The status code of a response; 0 if there is none."""
    return int(data.split(b" ", 2)[1]) if data else 0


def header(data: bytes, name: str) -> list[str]:
    """All values of a header, as they stand in the message."""
    lines = data.decode().split("\r\n\r\n", 1)[0].split("\r\n")[1:]
    return [line.split(":", 1)[1].strip() for line in lines if line.split(":", 1)[0].lower() == name.lower()]
