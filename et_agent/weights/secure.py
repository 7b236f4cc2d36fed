"""What is fetched cannot be changed on its way: TLS, or no way at all."""

import ipaddress
from collections.abc import Set
from urllib.parse import urlsplit

__all__ = ["is_secure"]


def is_secure(url: str, trusted: Set[str] = frozenset()) -> bool:
    """Whether an address is reached by TLS, is this machine's own, or names a file.

    Args:
        url: The address.
        trusted: Hosts, or `host:port`, that the user vouches for, as pip's `trusted-host` does.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme in ("https", "file"):
            return True
        host = (parts.hostname or "").lower()
        if parts.scheme != "http" or not host:
            return False
        if not trusted.isdisjoint({host, f"{host}:{parts.port or 80}"}):
            return True
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name of another host, or no address at all
        return False
