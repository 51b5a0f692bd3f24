"""Who is near: this machine, and its own network (loopback, link-local, private addresses: RFC 6890).

A name may lead elsewhere when it is looked up once more, a moment later, as whoever owns it likes (DNS rebinding). So
what a look-up said is only the first word: the address that was connected to has the last one, before anything is sent
there. A proxy (``http_proxy``, ``https_proxy``) looks names up itself, and only its own address can be seen: there the
look-up from here is all that is known, and what the proxy may reach is for the proxy to say.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import urllib.request
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from urllib.parse import urlsplit

_Address = IPv4Address | IPv6Address


class Near(Exception):
    """Somebody near would be asked, and who leads there is not; the message is the one line to print."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"{where}: it is on this machine or its own network, and what leads to it is not, so it is not asked. If "
            "it is meant, import it by its own address."
        )


def is_near(url: str) -> bool:
    """Tell whether an address is near, as far as a look-up tells; what cannot be looked up is not."""
    return any(map(_is_local, _found(url)))


class Guard:
    """Says for one fetch whether who is asked may be near, and sees to it.

    Args:
        url: what is fetched.
        near: whether that, and what it redirects to, may be near; None: where it is near itself, as the user names it.

    Attributes:
        near: the same, once it is known.

    Raises:
        Near: it is, and must not be.
    """

    def __init__(self, url: str, near: bool | None) -> None:
        self._named = near is None
        self._found = _found(url)
        local = any(map(_is_local, self._found))
        if near is False and local:
            raise Near(url)
        self.near = local if near is None else near

    def lead(self, url: str) -> None:
        """Let a redirect lead there.

        Raises:
            Near: it may not.
        """
        self._named = False
        if not self.near and is_near(url):
            raise Near(url)

    def meet(self, host: str, peer: str) -> None:
        """See who was connected to.

        Raises:
            Near: it may not be asked.
        """
        address = _plain(peer)
        local = _is_local(address)
        if local and not self.near:
            raise Near(f"{host} ({address})")
        if self._named and not local and address not in self._found:
            self.near = False  # the look-up told of somebody else
        self._named = False


class Guarded(urllib.request.HTTPSHandler, urllib.request.HTTPHandler):
    """Connects to whom a guard lets."""

    def __init__(self, guard: Guard) -> None:
        super().__init__()
        self._guard = guard

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Open a connection by http."""
        return self.do_open(self._connecting(req, http.client.HTTPConnection, _Met), req)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Open a connection by https."""
        return self.do_open(self._connecting(req, http.client.HTTPSConnection, _MetByTls), req)

    def _connecting(
        self, req: urllib.request.Request, plain: type[http.client.HTTPConnection], met: type[_Met]
    ) -> Callable[..., http.client.HTTPConnection]:
        # By a proxy it has the proxy's host, and its own in its address alone.
        if urllib.request.Request(req.full_url).host != req.host:  # noqa: S310  (nothing is opened)
            return plain

        def made(host: str, **said: Any) -> http.client.HTTPConnection:
            connection = met(host, **said)
            connection.guard = self._guard
            return connection

        return made


class _Met(http.client.HTTPConnection):
    """A connection that sends nothing before its guard has seen who is there."""

    guard: Guard

    def connect(self) -> None:
        """Connect."""
        super().connect()
        self.guard.meet(self.host, self.sock.getpeername()[0])


class _MetByTls(http.client.HTTPSConnection, _Met):
    """Likewise; its guard has its turn before TLS begins."""


def _found(url: str) -> set[_Address]:
    try:
        host = urlsplit(url).hostname or ""
        return {_plain(str(info[4][0])) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, ValueError):  # it is told when it is asked
        return set()


def _plain(text: str) -> _Address:
    address = ipaddress.ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def _is_local(address: _Address) -> bool:
    return not address.is_global
