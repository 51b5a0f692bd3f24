"""What the value of a setting must be, and what to say where it is not: for `adapter.settings`.

Each check returns the value, or raises ValueError with the remedy. Secrets are not repeated in what they say.
"""

from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path
from typing import TypeVar

from pydantic import AfterValidator, SecretStr
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from adapter import timezones
from adapter.addresses import as_sent, has_host, wrong_options

Texts = TypeVar("Texts", str, tuple[str, ...])

# Square brackets enclose an IPv6 address (https://www.rfc-editor.org/rfc/rfc3986#section-3.2.2), and no list.
_URI = r"(?!')(?:[^\s\"<>\[\]\\^`{|}]|(?<=//)\[[0-9A-Fa-f:.]+\])+"
_BARE = "without blanks, quotes and any of []{}<>"
_SHAPES = {
    "database": (r"[A-Za-z0-9_-]{1,50}", "give 1 to 50 letters, digits, - or _"),
    "canonical_base": (
        r"(https?://|urn:)\S*[^\s/]",
        "give an address such as https://mediloop.co/fhir, or a urn:..., without blanks, and no slash at its end",
    ),
    "base_url": (
        r"https?://[^\s?#]*[^\s?#/](?<!/fhir/R4)",
        "give an address such as https://fhir.example.org, without blanks, ? and #, and neither a slash nor /fhir/R4, "
        "which is added, at its end",
    ),
    "uhid_system": (_URI, f"give a URI {_BARE}, such as urn:oid:1.2.3 or https://mediloop.co/fhir/sid/uhid"),
    "uhid_aliases": (_URI, f"give URIs {_BARE}, separated by commas: urn:oid:1.2.3,https://mediloop.co/fhir/sid/uhid"),
    "booking_link": (
        r"https?://[^\s\"<>]+",
        "give an address such as https://portal.example.org/book/{slot}, without blanks, quotes, < and >",
    ),
    "booking_phone": (r"\+?[0-9][0-9 ().\-]{2,30}", "give a number such as +256 41 123456: digits, blanks and ( ) . -"),
    "export_url": (
        r"(?!https?://)[a-z0-9+.]+://.+",
        "give an address that can be written to, such as s3://bucket/folder or file:///srv/exports (https cannot)",
    ),
}
"""What a text must look like, and what to say where it does not: a pattern tells people little."""
_SHORTEST_KEY = 16


def is_text(words: str) -> bool:
    """Tell whether what the command line or the environment says is UTF-8: Python keeps other bytes as half pairs."""
    return not re.search("[\ud800-\udfff]", words)


def shape(name: str) -> AfterValidator:
    """Return what checks the text, or each text, of the setting `name`."""
    pattern, wanted = _SHAPES[name]

    def shaped(value: Texts) -> Texts:
        if not all(re.fullmatch(pattern, one) for one in ((value,) if isinstance(value, str) else value)):
            raise ValueError(wanted)
        return value

    return AfterValidator(shaped)


def absolute(path: Path) -> Path:
    """Return a path that does not depend on the working directory."""
    return path.expanduser().absolute()


def with_host(address: str) -> str:
    """Check that an address names a host."""
    if not has_host(address):
        raise ValueError("it names no host; give an address such as https://fhir.example.org")
    return address


def timezone(name: str) -> str:
    """Check that there is such a time zone."""
    try:
        timezones.zone(name)
    except LookupError as error:
        raise ValueError("no such time zone; use an IANA name such as Africa/Kampala") from error
    return name


def pattern(text: str) -> str:
    """Check that it is a regular expression."""
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return text


def our_port(value: object) -> object:
    """Check, before it is read as a number, that the port is not what Kubernetes sets for a Service of our name."""
    if isinstance(value, str) and value.startswith("tcp://"):
        raise ValueError(
            "Kubernetes has set it, for a Service that is named adapter; write enableServiceLinks: false into the "
            "Pod's spec, or set it there"
        )
    return value


def origins(given: tuple[str, ...]) -> tuple[str, ...]:
    """Return the origins as browsers send them."""
    sent = tuple(as_sent(one) for one in given)
    if any(one != "*" and not (re.fullmatch(r"https?://[^\s/?#@*]+", one) and has_host(one)) for one in sent):
        raise ValueError(
            "an origin is a scheme and a whole host in ASCII, such as https://portal.example.org, without user and "
            "path, or * for any"
        )
    return sent


def networks(proxies: tuple[str, ...]) -> tuple[str, ...]:
    """Check that each is an address, a network or ``*``."""
    for one in proxies:
        try:
            if one != "*":
                ip_network(one)
        except ValueError as error:
            raise ValueError("give addresses or networks, such as 10.1.2.3 or 10.0.0.0/8, or * for any") from error
    return proxies


def bootstrap_key(key: SecretStr) -> SecretStr:
    """Check that it is a key of MediLoop's shape, and a long one where it is for live data."""
    if not re.fullmatch(r"sk_(test_[A-Za-z0-9_-]{1,128}|live_[A-Za-z0-9_-]{16,128})", key.get_secret_value()):
        raise ValueError(
            "a key is sk_test_ or sk_live_ and then letters, digits, - or _ (for live data 16 of them at least)"
        )
    return key


def deidentify_key(key: SecretStr) -> SecretStr:
    """Check that the key of the pseudonyms cannot be guessed."""
    if len(key) < _SHORTEST_KEY:
        raise ValueError(f"too short: give {_SHORTEST_KEY} characters at least, such as openssl rand -hex 32 makes")
    return key


def mongodb_uri(uri: SecretStr) -> SecretStr:
    """Check that the driver can read the whole address, and knows each option of it."""
    address = uri.get_secret_value()
    if not address.startswith(("mongodb://", "mongodb+srv://")):
        raise ValueError("a MongoDB address starts with mongodb:// or mongodb+srv://")
    if wrong := list(wrong_options(address)):
        raise ValueError(", ".join(wrong))
    if address.startswith("mongodb://"):  # the other kind needs DNS to be read
        try:
            parse_uri(address)
        except (PyMongoError, ValueError) as error:
            # What the driver says is not repeated: it can hold a piece of the password.
            raise ValueError(
                "cannot be read as a MongoDB address; write mongodb://host:port/?replicaSet=rs0, and special "
                "characters of user name and password percent-encoded"
            ) from error
    return uri


def folder(path: Path) -> Path:
    """Check that there is such a folder."""
    if not path.is_dir():
        raise ValueError("there is no such folder")
    return path
