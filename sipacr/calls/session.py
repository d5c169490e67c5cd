"""Session timers (RFC 4028): the far ends refresh their session through us, and we end what nobody refreshes.

We ask for a timer as a proxy would (8.1): whoever knows it refreshes, and we never do so ourselves.
"""

from sipacr.calls.message import Headers, Message

_LEAST = 90  # seconds, the least interval there is (RFC 4028 5)


def interval(message: Message) -> int:
    """Seconds of its Session-Expires; 0 if there is none."""
    text = (message.get("Session-Expires") or "").partition(";")[0].strip()
    return int(text) if text.isdigit() else 0


def asked(request: Message, ours: float, minimum: str | None = None) -> Headers:
    """Session-Expires and Min-SE of an INVITE or UPDATE that goes on. `ours`: seconds that we want where its sender
    wants none; 0: nothing. `minimum`: what a 422 demanded."""
    wanted = request.get("Session-Expires")
    least = request.get("Min-SE")
    if minimum is not None:
        seconds = max(interval(request), int(minimum) if minimum.isdigit() else 0, _LEAST)
        refresher = (wanted or "").partition(";")[2]
        return [("Session-Expires", f"{seconds};{refresher}" if refresher else str(seconds)), ("Min-SE", minimum)]
    if wanted is None and ours > 0 and request.method == "INVITE":
        wanted = str(max(int(ours), _LEAST, int(least) if least and least.isdigit() else 0))
    headers: Headers = []
    if wanted is not None:
        headers.append(("Session-Expires", wanted))
    if least is not None:
        headers.append(("Min-SE", least))
    return headers


def granted(request: Message, response: Message, ours: float) -> Headers:
    """Session-Expires of a 2xx on its way back to the sender of `request`, and that he has to heed it (8.2).

    Who does not know timers is told nothing; who knows them and was answered by one who does not refreshes alone.
    """
    if response.code == 422:
        least = response.get("Min-SE")
        return [("Min-SE", least)] if least is not None else []
    if not 200 <= response.code < 300 or request.method not in ("INVITE", "UPDATE"):
        return []
    if not request.has_token("Supported", "timer"):
        return []
    agreed = response.get("Session-Expires")
    if agreed is None:
        seconds = interval(request) or (int(ours) if request.method == "INVITE" else 0)
        if not seconds:
            return []
        agreed = f"{max(seconds, _LEAST)};refresher=uac"
    headers = [("Session-Expires", agreed)]
    if "refresher=uac" in agreed.replace(" ", ""):
        headers.append(("Require", "timer"))
    return headers
