"""Models that are named by the address of their server."""

from typing import Final
from urllib.parse import urlsplit

from et_agent.errors import SettingsError

__all__ = ["check_address", "is_address", "shown_address"]

_SCHEMES: Final = ("http://", "https://")


def is_address(spec: str) -> bool:
    """Whether a model is named by the address of its server."""
    return spec.lower().startswith(_SCHEMES)


def check_address(address: str) -> None:
    """Refuse what is no address of a server, and one that holds a secret.

    Args:
        address: `http://HOST:PORT/v1`, with or without `#NAME`.

    Raises:
        SettingsError: It is none, or holds a password or a query. The message holds neither.
    """
    no_address = SettingsError(f"{shown_address(address)!r} is no address: use http://HOST:PORT/v1")
    try:
        address.encode()
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise no_address from None
    if parts.username is not None or parts.password is not None or parts.query:
        raise SettingsError(
            "the address holds a password or a query: leave them out, and put the key into an "
            "environment variable"
        )
    if not is_address(address) or not parts.hostname or port == 0:
        raise no_address


def shown_address(address: str) -> str:
    """An address for messages, without a password and a query."""
    scheme, mark, rest = address.partition("://")
    if not mark:
        return address
    head, _, _ = rest.partition("?")
    host, slash, path = head.rpartition("@")[2].partition("/")
    return f"{scheme}{mark}{host}{slash}{path}".encode("utf-8", "replace").decode()
