"""Which requests came lately: tells retransmitted from merged (RFC 3261 8.2.2.2) and finds what a CANCEL means.

A table of fixed size, because a redirected call must leave no memory behind: an entry is two hashes and a time, a new
one takes the place of any other in its slot. A lost entry costs one 482 that is not sent.
"""

from array import array

LIFETIME = 32  # seconds: 64*T1, as long as a retransmission can come
_ONGOING = 5  # seconds (T4): later, the transaction is over and the same call on another branch is a new try

Same = tuple[bytes, str, int]  # Call-ID, From tag, CSeq number


class Recent:
    """Hashes of (Call-ID, From tag, CSeq) with the hash of the branch that came first."""

    def __init__(self, slots: int = 1 << 18) -> None:
        """`slots` is a power of two; each costs 20 bytes, taken at once."""
        self._mask = slots - 1
        self._key = array("q", bytes(8 * slots))
        self._branch = array("q", bytes(8 * slots))
        self._second = array("i", bytes(4 * slots))

    def note(self, request: Same, branch: str, now: int) -> bool:
        """Note a request; True if the same one came just before on another branch, which makes this one merged."""
        key = hash(request)
        slot = key & self._mask
        if self._key[slot] == key and now - self._second[slot] < _ONGOING and self._branch[slot] != hash(branch):
            return True
        self._key[slot] = key
        self._branch[slot] = hash(branch)
        self._second[slot] = now
        return False

    def holds(self, request: Same, branch: str, now: int) -> bool:
        """Whether this very request came within 32 s on this branch."""
        key = hash(request)
        slot = key & self._mask
        return self._key[slot] == key and self._branch[slot] == hash(branch) and now - self._second[slot] < LIFETIME
