"""Redirects: secret headers stay with their host and scheme, and nobody outside leads us inside."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import requests

# Sent to every host alike; what else a source sends is its own.
_OPEN = {"user-agent", "range", "accept", "accept-encoding", "accept-language", "connection"}


def guard(session: requests.Session, private: bool = False) -> requests.Session:
    """Have a session drop its own headers on a redirect to another host, scheme or port, and return it.

    A redirect from a public address to a private, loopback or link-local one raises requests.exceptions.InvalidURL,
    unless `private` allows it.
    """
    from requests.exceptions import InvalidURL

    before: Callable[[requests.PreparedRequest, requests.Response], object] = session.rebuild_auth

    def rebuild_auth(prepared: requests.PreparedRequest, response: requests.Response) -> None:
        before(prepared, response)
        old, new = response.request.url or "", prepared.url or ""
        if origin(old) != origin(new):
            for name in [name for name in prepared.headers if name.lower() not in _OPEN]:
                del prepared.headers[name]
        if not private and is_private(new) and not is_private(old):
            raise InvalidURL(
                f"{urlsplit(old).hostname} redirects to {urlsplit(new).hostname}, an address inside; this is refused"
            )

    own: Any = rebuild_auth
    session.rebuild_auth = own  # type: ignore[method-assign]
    return session


def origin(address: str) -> tuple[str, str | None, int | None]:
    """Return scheme, host and port of an address."""
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def is_private(address: str) -> bool:
    """Return whether an address leads to this machine or a network that the internet does not know."""
    host = urlsplit(address).hostname or ""
    try:
        found: list[Any] = [(0, 0, 0, "", (str(ipaddress.ip_address(host)),))]
    except ValueError:
        try:
            found = socket.getaddrinfo(host, None)
        except (OSError, UnicodeError):
            return host == "localhost"
    return any(not ipaddress.ip_address(str(entry[4][0]).partition("%")[0]).is_global for entry in found)
