"""The top Via of a message, and what it says about the transaction that the message belongs to."""

from sipacr.calls.message import Message, parameters, split, tag
from sipacr.calls.network import Flow

COOKIE = "z9hG4bK"
Key = tuple[str, ...]


def server_key(message: Message, flow: Flow, method: str) -> Key:
    """What two requests of one transaction share (RFC 3261 17.2.3); the host, so that a stranger's are others."""
    via = message.get("Via") or ""
    branch, sent_by = branch_and_sent_by(via)
    if branch.startswith(COOKIE):
        return branch, sent_by, method, flow.host
    number = str(message.cseq[0])  # a client of RFC 2543
    return message.get("Call-ID") or "", tag(message.get("From") or ""), number, via, method, flow.host


def branch_and_sent_by(via: str) -> tuple[str, str]:
    """Of the first value of a Via line; sent-by as lower-case "host:port" or "host"."""
    space, end, start = via.find(" "), via.find(";"), via.find(";branch=")
    if 0 < space < end <= start and via.count(" ") == 1 and not ("," in via or '"' in via or "\t" in via):
        stop = via.find(";", start + 8)
        return via[start + 8 : stop if stop > 0 else len(via)], via[space + 1 : end].lower()
    first = next(iter(split(via)), "")
    protocol_and_host = first.partition(";")[0].split("/", 2)[-1].split(None, 1)
    sent_by = "".join(protocol_and_host[1].split()).lower() if len(protocol_and_host) > 1 else ""
    return parameters(first).get("branch", ""), sent_by
