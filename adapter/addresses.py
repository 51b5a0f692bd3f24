"""What addresses in settings have to be: hosts that there can be, and origins as browsers send them."""

from __future__ import annotations

from urllib.parse import urlsplit

_USUAL_PORTS = {"http": ":80", "https": ":443"}


def as_sent(origin: str) -> str:
    """Return an origin as browsers send it, which is compared: in lower case, without the port that is usual."""
    scheme, mark, host = origin.lower().partition("://")
    return scheme + mark + host.removesuffix(_USUAL_PORTS.get(scheme, ""))


def has_host(address: str) -> bool:
    """Tell whether an address names a host, in ASCII as in `Host`, and no impossible port, nor a user."""
    try:
        parts = urlsplit(address)
        named = parts.hostname is not None and parts.port != 0 and not parts.netloc.endswith(":")
    except ValueError:
        return False
    return named and address.isascii() and parts.username is None and (parts.hostname or "").strip(".") != ""
