"""Who is it: from a packet's source address to the configured peer, before a byte of it is parsed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from sipacr.calls.network import Target
from sipacr.routing.directory import Peer

_REMEMBERED = 16_384  # (address, port) pairs of peers; strangers are never remembered, so they cannot fill it

Network = IPv4Network | IPv6Network


def split_host(text: str) -> tuple[str, int | None]:
    """Host without brackets, and the port if there is one, of "host", "host:port", "[v6]:port" or a bare IPv6."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, int(rest[1:]) if rest.startswith(":") else None
    host, colon, port = text.rpartition(":")
    if colon and ":" not in host and port.isdigit():
        return host, int(port)
    return text, None


class Sources:
    """The sources of all peers. Longest prefix wins, then a source with a port, then the peer whose own address has
    the packet's port, then the order of the file."""

    def __init__(
        self,
        peers: Iterable[Peer],
        resolved: Mapping[str, Sequence[str]],
        called_at: Callable[[str], Iterable[Target]] = lambda _: (),
    ) -> None:
        """`resolved` gives the addresses of names that stand in `address` or `sources`, `called_at` where we call a
        peer: its answers come from there, and are its own whatever `sources` says."""
        peers = list(peers)
        self._tables: dict[tuple[int, int], dict[int, list[tuple[int | None, frozenset[int], Peer]]]] = {}
        self._known: dict[tuple[str, int], Peer] = {}
        for peer in peers:
            ports = frozenset(split_host(address)[1] or 5060 for address in peer.addresses)
            for source in peer.senders:
                for network, port in _networks(source, resolved, with_port=bool(peer.sources)):
                    self._add(network, port, ports, peer)
        for peer in peers:  # after all sources, which come first
            for target in called_at(peer.name):
                self._add(ip_network(target.host), target.port, frozenset(), peer)
        self._lengths = sorted(self._tables, reverse=True)

    def _add(self, network: Network, port: int | None, ports: frozenset[int], peer: Peer) -> None:
        table = self._tables.setdefault((network.version, network.prefixlen), {})
        shift = network.max_prefixlen - network.prefixlen
        table.setdefault(int(network.network_address) >> shift, []).append((port, ports, peer))

    def find(self, host: str, port: int) -> Peer | None:
        """The peer behind this address, or None for a stranger."""
        known = self._known.get((host, port))
        if known is not None:
            return known
        found = self._search(host, port)
        if found is not None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[host, port] = found
        return found

    def is_peers(self, host: str) -> bool:
        """Whether some peer sends from this address, from whatever port."""
        address = ip_address(host.partition("%")[0])
        number, bits = int(address), address.max_prefixlen
        return any(
            self._tables[version, length].get(number >> (bits - length))
            for version, length in self._lengths
            if version == address.version
        )

    def _search(self, host: str, port: int) -> Peer | None:
        address = ip_address(host.partition("%")[0])
        number, bits = int(address), address.max_prefixlen
        for version, length in self._lengths:
            if version == address.version:
                entries = self._tables[version, length].get(number >> (bits - length))
                fitting = [entry for entry in entries or () if entry[0] in (None, port)]
                if fitting:
                    return min(fitting, key=lambda entry: (entry[0] is None, port not in entry[1]))[2]
        return None


def _networks(
    source: str, resolved: Mapping[str, Sequence[str]], *, with_port: bool
) -> list[tuple[Network, int | None]]:
    """The networks of one source. An `address` counts with any port: PBXs send from others than they listen on."""
    if "/" in source:
        return [(ip_network(source, strict=False), None)]
    host, port = split_host(source)
    try:
        addresses: Sequence[str] = (str(ip_address(host)),)
    except ValueError:  # a name; before DNS has answered it stands for nobody
        addresses = resolved.get(host, ())
    return [(ip_network(address), port if with_port else None) for address in addresses]
