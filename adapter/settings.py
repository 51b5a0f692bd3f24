"""The one settings class: environment variables with the prefix ``ADAPTER_``, and ``.env``.

Every setting has a default that works on a laptop; `mediloop-fhir settings` prints them with their origin.
"""

from __future__ import annotations

from datetime import tzinfo
from pathlib import Path
from typing import Annotated, Literal

from dotenv import dotenv_values
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, NoDecode, SettingsConfigDict

from adapter import setting_values as values
from adapter import timezones
from adapter.variables import PREFIX, misspelt, unread_lines

MOST_A_MINUTE = 2**31 - 1
"""Requests; what the headers say where there is no limit."""

_LISTS = "uhid_aliases", "cors_origins", "trusted_proxies"


class SettingsError(ValueError):
    """A setting is wrong; the message is the one line to print."""


class Settings(BaseSettings):
    """What can be set, with defaults."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    mongodb_uri: Annotated[SecretStr, AfterValidator(values.mongodb_uri)] | None = Field(
        None,
        description="MongoDB replica set or sharded cluster. Unset: an embedded server is started under DATA_DIR.",
    )
    database: Annotated[str, values.shape("database")] = Field(
        "mediloop",
        description="Base name of the two databases: NAME_test and NAME_live.",
    )
    data_dir: Annotated[Path, AfterValidator(values.absolute)] = Field(
        Path("data"), description="Where the embedded MongoDB keeps its data, and $export its files."
    )
    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: Annotated[int, BeforeValidator(values.our_port)] = Field(
        8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one."
    )
    workers: int = Field(1, ge=1, le=64, description="Service processes.")
    trusted_proxies: Annotated[tuple[str, ...], NoDecode, AfterValidator(values.networks)] = Field(
        ("127.0.0.1", "::1"),
        description="Addresses and networks (10.0.0.0/8) of the proxies whose X-Forwarded-For and X-Forwarded-Proto "
        "are believed, separated by commas; * is any, empty none.",
    )
    bootstrap_key: Annotated[SecretStr, AfterValidator(values.bootstrap_key)] | None = Field(
        None, description="A key (sk_test_... or sk_live_...) registered at start-up with every permission."
    )
    timezone: Annotated[str, AfterValidator(values.timezone)] = Field(
        "UTC",
        description="Time zone of the clinic's calendar days (IANA name). "
        "After a change run mediloop-fhir reindex --new-timezone.",
    )
    canonical_base: Annotated[str, values.shape("canonical_base")] = Field(
        "https://mediloop.co/fhir",
        description="Base of the canonical URLs: identifier systems, code systems, extensions.",
    )
    base_url: Annotated[str, values.shape("base_url"), AfterValidator(values.with_host)] | None = Field(
        None,
        description="Public address of the service (https://fhir.example.org); FHIR references that start with it + "
        "/fhir/R4 are ours. Unset: links and searches go by each request's address, and MediLoop's lists read absolute "
        "references as another server's.",
    )
    uhid_system: Annotated[str, values.shape("uhid_system")] | None = Field(
        None, description="Identifier system of the UHID. Unset: CANONICAL_BASE/sid/uhid."
    )
    uhid_aliases: Annotated[tuple[str, ...], NoDecode, values.shape("uhid_aliases")] = Field(
        (), description="Further identifier systems accepted as UHID on the way in, separated by commas."
    )
    uhid_pattern: Annotated[str, AfterValidator(values.pattern)] = Field(
        "^UG[0-9]{9}[A-Z]$", description="Regular expression of a UHID (trimmed, upper case)."
    )
    concept_maps: Annotated[Path, AfterValidator(values.folder)] | None = Field(
        None, description="Folder of FHIR ConceptMap files (*.json) that replace packaged ones of the same id."
    )
    unknown_patients: Literal["accept", "refuse"] = Field(
        "accept",
        description="Whether a UHID that no stored Patient carries may be booked, or imported in a MediLoop object.",
    )
    unknown_actors: Literal["accept", "refuse"] = Field(
        "refuse",
        description="Whether a practitioner or facility that is not stored may be booked, or imported likewise.",
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
    cors_origins: Annotated[tuple[str, ...], NoDecode, AfterValidator(values.origins)] = Field(
        ("*",),
        description="Origins whose pages browsers let call both APIs (https://portal.example.org), "
        "separated by commas; * is any, empty none. A page needs a key all the same.",
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
    booking_link: Annotated[str, values.shape("booking_link")] | None = Field(
        None,
        description="Where a published free Slot is booked; {slot} stands for its id. Slots with a link keep theirs.",
    )
    booking_phone: Annotated[str, values.shape("booking_phone")] | None = Field(
        None, description="The number to call for a published free Slot."
    )
    log_format: Literal["json", "console"] = Field("json", description="Log lines as JSON or for people.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe line logged.")
    export_url: Annotated[str, values.shape("export_url")] | None = Field(
        None,
        description="Where $export writes its files: any address that fsspec opens (s3://bucket/folder; its driver, "
        "such as s3fs, must be installed). Unset: DATA_DIR/exports.",
    )
    export_hours: float = Field(
        24.0, gt=0, le=8_784, description="Hours after which the files of an $export are removed; a year at most."
    )
    export_jobs: int = Field(4, ge=1, le=1_000, description="Open $export jobs at a time, for test and live data each.")
    deidentify_key: Annotated[SecretStr, AfterValidator(values.deidentify_key)] | None = Field(
        None,
        description="Key of the pseudonyms in what is exported de-identified; the same key gives the same ones. Unset: "
        "$export does not take _deidentify.",
    )
    export_file_resources: int = Field(50_000, ge=1, description="Resources in one file of an $export, at most.")
    demo: bool | None = Field(
        None,
        description="Load the demo clinic (test data) into an empty store. Unset: on with the embedded MongoDB.",
    )

    @field_validator("uhid_system", "uhid_aliases")
    @classmethod
    def _no_number(cls, value: str | tuple[str, ...] | None, info: ValidationInfo) -> str | tuple[str, ...] | None:
        number = _number_system(info.data.get("canonical_base"))
        if number in ((value,) if isinstance(value, str) else value or ()):
            raise ValueError("that is the system of appointment numbers; a UHID needs another one")
        return value

    @field_validator(*_LISTS, mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
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
        if isinstance(value, str) and not values.is_text(value):
            raise ValueError("it is no text in UTF-8")
        return value

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
    def number_system(self) -> str:
        """The identifier system of appointment numbers, as `mappings.systems` has it."""
        return _number_system(self.canonical_base)

    @property
    def loads_demo(self) -> bool:
        """Whether an empty store gets the demo clinic."""
        return self.mongodb_uri is None if self.demo is None else self.demo


def _number_system(base: str | None) -> str:
    return f"{base}/sid/appointment-number"


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
