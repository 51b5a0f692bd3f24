"""The one settings class: environment variables with the prefix ``ADAPTER_``, and ``.env``.

Every setting has a default that works on a laptop; `mediloop-fhir settings` prints them with their origin.
"""

from __future__ import annotations

import re
from datetime import tzinfo
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from dotenv import dotenv_values
from pydantic import AfterValidator, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, NoDecode, SettingsConfigDict
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from adapter import timezones
from adapter.addresses import as_sent, has_host, wrong_options
from adapter.variables import PREFIX, misspelt, unread_lines

MOST_A_MINUTE = 2**31 - 1
"""Requests; what the headers say where there is no limit."""

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
_LISTS = "uhid_aliases", "cors_origins", "trusted_proxies"
_SHORTEST_KEY = 16


class SettingsError(ValueError):
    """A setting is wrong; the message is the one line to print."""


def is_text(words: str) -> bool:
    """Tell whether what the command line or the environment says is UTF-8: Python keeps other bytes as half pairs."""
    return not re.search("[\ud800-\udfff]", words)


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


class Settings(BaseSettings):
    """What can be set, with defaults."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    mongodb_uri: SecretStr | None = Field(
        None,
        description="MongoDB replica set or sharded cluster. Unset: an embedded server is started under DATA_DIR.",
    )
    database: str = Field(
        "mediloop",
        description="Base name of the two databases: NAME_test and NAME_live.",
    )
    data_dir: Annotated[Path, AfterValidator(_absolute)] = Field(
        Path("data"), description="Where the embedded MongoDB keeps its data."
    )
    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    workers: int = Field(1, ge=1, le=64, description="Service processes.")
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        ("127.0.0.1", "::1"),
        description="Addresses and networks (10.0.0.0/8) of the proxies whose X-Forwarded-For and X-Forwarded-Proto "
        "are believed, separated by commas; * is any, empty none.",
    )
    bootstrap_key: SecretStr | None = Field(
        None, description="A key (sk_test_... or sk_live_...) registered at start-up with every permission."
    )
    timezone: str = Field(
        "UTC",
        description="Time zone of the clinic's calendar days (IANA name). "
        "After a change run mediloop-fhir reindex --new-timezone.",
    )
    canonical_base: str = Field(
        "https://mediloop.co/fhir",
        description="Base of the canonical URLs: identifier systems, code systems, extensions.",
    )
    base_url: str | None = Field(
        None,
        description="Public address of the service (https://fhir.example.org); FHIR references that start with it + "
        "/fhir/R4 are ours. Unset: links and searches go by each request's address, and MediLoop's lists read absolute "
        "references as another server's.",
    )
    uhid_system: str | None = Field(None, description="Identifier system of the UHID. Unset: CANONICAL_BASE/sid/uhid.")
    uhid_aliases: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Further identifier systems accepted as UHID on the way in, separated by commas."
    )
    uhid_pattern: str = Field("^UG[0-9]{9}[A-Z]$", description="Regular expression of a UHID (trimmed, upper case).")
    concept_maps: Path | None = Field(
        None, description="Folder of FHIR ConceptMap files (*.json) that replace packaged ones of the same id."
    )
    unknown_patients: Literal["accept", "refuse"] = Field(
        "accept",
        description="Whether a UHID may be booked, or come in as a MediLoop object, that no stored Patient carries.",
    )
    unknown_actors: Literal["accept", "refuse"] = Field(
        "refuse",
        description="Whether a practitioner or facility may be booked, or come in likewise, that is not stored.",
    )
    rate_limit_test: int = Field(
        100, ge=0, le=MOST_A_MINUTE, description="Requests a minute for a test key; 0 is no limit."
    )
    rate_limit_live: int = Field(
        300, ge=0, le=MOST_A_MINUTE, description="Requests a minute for a live key; 0 is no limit."
    )
    hold_seconds: int = Field(
        300, ge=1, le=86_400, description="How long $hold keeps time for an appointment that is not booked yet."
    )
    proposal_seconds: int = Field(
        900,
        ge=1,
        le=86_400,
        description="How long what $find proposes can be read and booked by its reference.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        ("*",),
        description="Origins whose pages browsers let call both APIs (https://portal.example.org), "
        "separated by commas; * is any, empty none. Whatever page it is needs a key.",
    )
    max_body_bytes: int = Field(5_242_880, ge=1_024, description="Largest request body.")
    bulk_publish: Literal["off", "live", "test"] = Field(
        "off", description="Whether $bulk-publish shows availability to anybody without a key, and of which data."
    )
    publish_days: int = Field(
        30,
        ge=0,
        le=366,
        description="Days ahead for which $bulk-publish shows openings that are computed from weekly hours; 0: none.",
    )
    booking_link: str | None = Field(
        None,
        description="Where a published free Slot is booked; {slot} stands for its id. Slots with a link keep theirs.",
    )
    booking_phone: str | None = Field(None, description="The number to call for a published free Slot.")
    log_format: Literal["json", "console"] = Field("json", description="Log lines as JSON or for people.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe line logged.")
    export_url: str | None = Field(
        None,
        description="Where $export writes its files: any address that fsspec opens (s3://bucket/folder; its driver, "
        "such as s3fs, must be installed). Unset: DATA_DIR/exports.",
    )
    export_hours: float = Field(
        24.0, gt=0, le=8_784, description="Hours after which the files of an $export are removed; a year at most."
    )
    export_jobs: int = Field(4, ge=1, le=1_000, description="Open $export jobs at a time, for test and live data each.")
    deidentify_key: SecretStr | None = Field(
        None,
        description="Key of the pseudonyms in what is exported de-identified; the same key gives the same ones. Unset: "
        "$export does not take _deidentify.",
    )
    export_file_resources: int = Field(50_000, ge=1, description="Resources in one file of an $export, at most.")
    demo: bool | None = Field(
        None,
        description="Load the demo clinic (test data) into an empty store. Unset: on with the embedded MongoDB.",
    )

    @field_validator(*_SHAPES)
    @classmethod
    def _shaped(cls, value: str | tuple[str, ...] | None, info: ValidationInfo) -> str | tuple[str, ...] | None:
        pattern, wanted = _SHAPES[info.field_name or ""]
        if any(not re.fullmatch(pattern, one) for one in ((value,) if isinstance(value, str) else value or ())):
            raise ValueError(wanted)
        return value

    @field_validator("uhid_system", "uhid_aliases")
    @classmethod
    def _no_number(cls, value: str | tuple[str, ...] | None, info: ValidationInfo) -> str | tuple[str, ...] | None:
        number = f"{info.data.get('canonical_base')}/sid/appointment-number"
        if number in ((value,) if isinstance(value, str) else value or ()):
            raise ValueError("that is the system of appointment numbers; a UHID needs another one")
        return value

    @field_validator("base_url")
    @classmethod
    def _named_host(cls, address: str | None) -> str | None:
        if address is not None and not has_host(address):
            raise ValueError("it names no host; give an address such as https://fhir.example.org")
        return address

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            timezones.zone(name)
        except LookupError as error:
            raise ValueError("no such time zone; use an IANA name such as Africa/Kampala") from error
        return name

    @field_validator("uhid_pattern")
    @classmethod
    def _readable_pattern(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return pattern

    @field_validator(*_LISTS, mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("port", mode="before")
    @classmethod
    def _our_port(cls, value: object) -> object:
        if isinstance(value, str) and value.startswith("tcp://"):
            raise ValueError(
                "Kubernetes has set it, for a Service that is named adapter; write enableServiceLinks: false into the "
                "Pod's spec, or set it there"
            )
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _not_empty(cls, value: object, info: ValidationInfo) -> object:
        # An empty path is the working directory, which nobody means by a variable that was left empty; an empty pattern
        # fits no UHID. An empty list is one.
        if isinstance(value, str) and not value.strip() and info.field_name not in _LISTS:
            raise ValueError("it is empty; leave it out for the default")
        return value

    @field_validator("*", mode="before")  # behind the others: the last one is asked first
    @classmethod
    def _is_text(cls, value: object) -> object:
        if isinstance(value, str) and not is_text(value):
            raise ValueError("it is no text in UTF-8")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        sent = tuple(as_sent(one) for one in origins)
        if any(one != "*" and not (re.fullmatch(r"https?://[^\s/?#@*]+", one) and has_host(one)) for one in sent):
            raise ValueError(
                "an origin is a scheme and a whole host in ASCII, such as https://portal.example.org, without user and "
                "path, or * for any"
            )
        return sent

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for one in proxies:
            try:
                if one != "*":
                    ip_network(one)
            except ValueError as error:
                raise ValueError("give addresses or networks, such as 10.1.2.3 or 10.0.0.0/8, or * for any") from error
        return proxies

    @field_validator("bootstrap_key")
    @classmethod
    def _key_shape(cls, key: SecretStr | None) -> SecretStr | None:
        shape = r"sk_(test_[A-Za-z0-9_-]{1,128}|live_[A-Za-z0-9_-]{16,128})"
        if key is not None and not re.fullmatch(shape, key.get_secret_value()):
            raise ValueError(
                "a key is sk_test_ or sk_live_ and then letters, digits, - or _ (for live data 16 of them at least)"
            )
        return key

    @field_validator("deidentify_key")
    @classmethod
    def _key_length(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and len(key) < _SHORTEST_KEY:
            raise ValueError(f"too short: give {_SHORTEST_KEY} characters at least, such as openssl rand -hex 32 makes")
        return key

    @field_validator("mongodb_uri")
    @classmethod
    def _uri_shape(cls, uri: SecretStr | None) -> SecretStr | None:
        if uri is not None and not uri.get_secret_value().startswith(("mongodb://", "mongodb+srv://")):
            raise ValueError("a MongoDB address starts with mongodb:// or mongodb+srv://")
        if uri is not None and (wrong := list(wrong_options(uri.get_secret_value()))):
            raise ValueError(", ".join(wrong))
        if uri is not None and uri.get_secret_value().startswith("mongodb://"):  # the other kind needs DNS to be read
            try:
                parse_uri(uri.get_secret_value())
            except (PyMongoError, ValueError) as error:
                # What the driver says is not repeated: it can hold a piece of the password.
                raise ValueError(
                    "cannot be read as a MongoDB address; write mongodb://host:port/?replicaSet=rs0, and special "
                    "characters of user name and password percent-encoded"
                ) from error
        return uri

    @field_validator("concept_maps")
    @classmethod
    def _folder(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_dir():
            raise ValueError("there is no such folder")
        return path

    @property
    def zone(self) -> tzinfo:
        """The clinic's time zone."""
        return timezones.zone(self.timezone)

    @property
    def fhir_bases(self) -> tuple[str, ...]:
        """The addresses below which FHIR references are ours."""
        return () if self.base_url is None else (f"{self.base_url}/fhir/R4",)

    @property
    def uhid_systems(self) -> tuple[str, ...]:
        """Every identifier system of a UHID, the one that is written first."""
        # Told to `mappings.systems` by whoever loads it: commands that only copy resources do not.
        return (self.uhid_system or f"{self.canonical_base}/sid/uhid", *self.uhid_aliases)

    @property
    def loads_demo(self) -> bool:
        """Whether an empty store gets the demo clinic."""
        return self.mongodb_uri is None if self.demo is None else self.demo


class _Lines(DotEnvSettingsSource):
    """``.env``, its values as they are written: the library would take ``${...}`` for a variable, in a password too."""

    def _read_env_file(self, file_path: Path) -> dict[str, str | None]:
        found = dotenv_values(file_path, encoding="utf-8", interpolate=False)
        return {name.lower(): value for name, value in found.items()}


def load(**overrides: object) -> Settings:
    """Read the settings; `overrides` (from the command line) win over the environment.

    Raises:
        SettingsError: naming each setting that is wrong or that there is not, in one line.
    """
    try:
        with unread_lines() as unread:
            lines = _Lines(Settings)  # read once: it may be a pipe
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise SettingsError(f"Bad setting. .env: it cannot be read ({why}).") from error
    wrong = [f".env, line {number}: write NAME=value" for number in unread]
    wrong += [
        f"{name}: it has no value in .env; write {name}=value, or leave it out for the default"
        for name in (f"{PREFIX}{field}".upper() for field in Settings.model_fields)
        if lines.env_vars.get(name.lower(), "") is None
    ]
    wrong += misspelt(Settings.model_fields, lines.env_vars)
    stated = {name: value for name, value in overrides.items() if value is not None}
    given = {**lines(), **EnvSettingsSource(Settings)(), **stated}
    try:
        read = Settings(_env_file=None, **{name: given[name] for name in Settings.model_fields if name in given})
    except ValidationError as error:
        wrong += (
            # What is in a list is named by the list's name.
            f"{PREFIX}{str(problem['loc'][0]).upper()}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors(include_input=False, include_url=False)
        )
    if wrong:
        raise SettingsError(f"Bad setting. {'; '.join(wrong)}.")
    return read
