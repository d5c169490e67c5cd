"""Session timers (RFC 4028): the far ends refresh their session through us, and we end what nobody refreshes.

We ask for a timer as a proxy would (8.1): whoever knows it refreshes, and we never do so ourselves.
"""

from sipacr.calls.message import Headers, Message

_LEAST = 90  # seconds, the least interval there is (RFC 4028 5)


def interval(message: Message) -> int:
    """Seconds of its Session-Expires; 0 if there is none."""
    return seconds(message.get("Session-Expires") or "")


def seconds(value: str) -> int:
    """Seconds of a value of Session-Expires; 0 if it names none."""
    text = value.partition(";")[0].strip()
    return int(text) if text.isdecimal() else 0


def asked(request: Message, ours: float, minimum: str | None = None) -> Headers:
    """Session-Expires and Min-SE of an INVITE or UPDATE that goes on. `ours`: seconds that we want where its sender
    wants none (RFC 4028 8.1); 0: nothing. `minimum`: what a 422 demanded."""
    wanted = request.get("Session-Expires")
    least = request.get("Min-SE")
    if minimum is not None:
        longest = max(interval(request), seconds(minimum), _LEAST)
        refresher = (wanted or "").partition(";")[2]
        return [("Session-Expires", f"{longest};{refresher}" if refresher else str(longest)), ("Min-SE", minimum)]
    if wanted is None and ours > 0:
        wanted = str(max(int(ours), _LEAST, seconds(least or "")))
    headers: Headers = []
    if wanted is not None:
        headers.append(("Session-Expires", wanted))
    if least is not None:
        headers.append(("Min-SE", least))
    return headers


def in_force(request: Message, response: Message, ours: float) -> str:
    """The Session-Expires that holds from this 2xx to INVITE or UPDATE on; "" if there is none.

    Where the far end knows no timers but the sender of `request` does, he refreshes alone, and we answer for the far
    end (8.2): what he asked for, or the seconds that are `ours`.
    """
    value = response.get("Session-Expires")
    if value is not None:
        return value
    asked_for = (interval(request) or int(ours)) if request.has_token("Supported", "timer") else 0
    return f"{max(asked_for, _LEAST)};refresher=uac" if asked_for else ""


def granted(request: Message, response: Message, ours: float) -> Headers:
    """Session-Expires of a 2xx on its way back to the sender of `request`, and that he has to heed it (8.2).

    Who does not know timers is told nothing.
    """
    if response.code == 422:
        least = response.get("Min-SE")
        return [("Min-SE", least)] if least is not None else []
    if not 200 <= response.code < 300 or request.method not in ("INVITE", "UPDATE"):
        return []
    agreed = in_force(request, response, ours)
    if not agreed or not request.has_token("Supported", "timer"):
        return []
    headers = [("Session-Expires", agreed)]
    if "refresher=uac" in agreed.replace(" ", ""):
        headers.append(("Require", "timer"))
    return headers
