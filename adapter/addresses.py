"""What addresses in settings have to be: hosts that there can be, origins as browsers send them, MongoDB's options."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from urllib.parse import urlsplit

from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

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


def wrong_options(uri: str) -> Iterator[str]:
    """Yield what is wrong with single options of a MongoDB address: the driver only warns, and goes on without them.

    Their values are not repeated, nor what can be a piece of a password.
    """
    for option in re.split("[&;]", uri.rpartition("@")[2].partition("?")[2]):
        name = option.partition("=")[0]
        with warnings.catch_warnings(record=True, action="always") as told:
            try:
                parse_uri(f"mongodb://host/?{option}", warn=True)
            except OSError:
                yield f"the file of {name} cannot be read"
            except (PyMongoError, ValueError):
                continue  # the whole address cannot be read either
        for one in told:
            if issubclass(one.category, UserWarning):
                unknown = str(one.message).startswith("Unknown")
                yield f"there is no option {name}" if unknown else f"{name} has a value that it does not take"
                break
