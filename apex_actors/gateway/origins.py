"""Which pages may connect and ask: compared by scheme, host and port, to the letter."""

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import urlsplit


class AllowedOrigins:
    """The allow-list, and the server's own page where it is served under an address.

    A name may be made to point here by whoever owns it (DNS rebinding), so the name under which the
    server was asked proves nothing: names have to be on the list.
    """

    def __init__(self, listed: Iterable[str]) -> None:
        self._listed = frozenset(listed)

    def allows(self, origins: Sequence[str], hosts: Iterable[str]) -> bool:
        """Whether the one ``Origin`` may; ``hosts`` are the values of ``Host``."""
        return len(origins) == 1 and (
            origins[0] in self._listed or origins[0] in _own_origins(hosts)
        )


def _own_origins(hosts: Iterable[str]) -> Iterator[str]:
    for host in hosts:
        if _is_address(host):
            yield f"http://{host}"
            yield f"https://{host}"


def _is_address(host: str) -> bool:
    """Whether ``host`` is localhost or an address, with or without a port."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or bool(ipaddress.ip_address(name))
    except ValueError:
        return False
