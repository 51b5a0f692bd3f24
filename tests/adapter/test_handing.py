"""The processes of a service go by the settings that it was started with."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from adapter import timezones
from adapter.handing import hand_over, handed_over, has_same_zones
from adapter.settings import Settings, load

URI = "mongodb://u:p@host/"
KEY = "sk_test_" + "a" * 40


def handed(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> dict[str, str]:
    told = hand_over(settings, URI)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    return told


def test_they_are_those_that_were_read_whatever_is_said_since(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ADAPTER_DEIDENTIFY_KEY", "0123456789abcdef")
    read = load(
        timezone="Africa/Kampala", uhid_aliases="urn:a,urn:b", concept_maps=tmp_path, mongodb_uri=URI, export_hours=0.5
    )
    handed(monkeypatch, read)
    Path(".env").write_text("ADAPTER_EXPORT_URL=s3://elsewhere/x\nADAPTER_TIMEZONE\nADAPTER_PROT=1\n")
    monkeypatch.setenv("ADAPTER_DEIDENTIFY_KEY", "another-key-0123456")
    monkeypatch.setenv("ADAPTER_BASE_URL", "https://fhir.example.org")
    assert handed_over() == (read, URI)


def test_the_key_that_may_do_everything_is_not_among_them(monkeypatch: pytest.MonkeyPatch) -> None:
    told = handed(monkeypatch, load(bootstrap_key=KEY))
    assert KEY not in str(told)
    monkeypatch.setenv("ADAPTER_BOOTSTRAP_KEY", KEY)
    assert handed_over()[0].bootstrap_key is None


def test_what_is_wrong_by_then_is_told_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = tmp_path / "ca.pem"
    authority.touch()
    handed(monkeypatch, load(mongodb_uri=f"mongodb://u:hunter2@host/?tls=true&tlsCAFile={authority}"))
    authority.unlink()
    with pytest.raises(ValidationError) as raised:
        handed_over()
    assert "mongodb_uri" in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_other_rules_of_time_zones_than_those_of_the_start_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    told = handed(monkeypatch, load())
    assert has_same_zones()
    [name] = [name for name, value in told.items() if value == timezones.kept()]
    monkeypatch.setenv(name, "0" * 64)
    assert not has_same_zones()
