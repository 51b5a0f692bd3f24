"""Settings: what they may be, and the one line for what they may not."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from adapter import timezones
from adapter.settings import Settings, SettingsError, load
from adapter.terms import systems_of, vocabulary_of
from adapter.variables import PREFIX, URI_VARIABLE
from mappings.systems import DEFAULT_SYSTEMS
from mappings.vocabulary import IDS


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, where there is no `.env`."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


STATUS_MAP = (
    f'{{"resourceType": "ConceptMap", "id": "{IDS[3]}", "status": "active", "group": [{{"source": "urn:s", '
    '"target": "urn:t", "element": [{"code": "booked", "target": [{"code": "booked", "equivalence": "equal"}]}]}]}'
)
REASON_MAP = STATUS_MAP.replace(IDS[3], IDS[0])

BAD = [
    ("base_url", "fhir.example.org"),
    ("base_url", "https://fhir.example.org/"),
    ("base_url", "https://fhir.example.org/fhir/R4"),
    ("base_url", "https://fhir example.org"),
    ("base_url", "https:///x"),
    ("base_url", "https://user@"),
    ("base_url", "https://u:p@host"),
    ("base_url", "https://host:port"),
    ("base_url", "https://host:99999/x"),
    ("base_url", "https://[:]/a"),
    ("base_url", "https://.."),
    ("base_url", "https://:8000"),
    ("mongodb_uri", "localhost:27017"),
    ("mongodb_uri", ""),
    ("mongodb_uri", "mongodb://"),
    ("mongodb_uri", "mongodb://host:notaport/"),
    ("mongodb_uri", "mongodb://host:99999/"),
    ("mongodb_uri", "mongodb://user:pa/ss@host/"),
    ("mongodb_uri", "mongodb://host/?tlsCaFil=/x"),
    ("mongodb_uri", "mongodb+srv://u:p@host/?w=1&retryWrite=true"),
    ("mongodb_uri", "mongodb://host/?maxPoolSize=many"),
    ("mongodb_uri", "mongodb://host/?tlsCAFile=/nowhere/ca.pem"),
    ("database", ""),
    ("database", "with blank"),
    ("database", "x" * 51),
    ("database", "a/b"),
    ("host", ""),
    ("port", "http"),
    ("port", "-1"),
    ("port", "65536"),
    ("port", ""),
    ("workers", "0"),
    ("workers", "65"),
    ("workers", "1.5"),
    ("trusted_proxies", "proxy.example.org"),
    ("trusted_proxies", "10.0.0.1/8"),
    ("bootstrap_key", "secret"),
    ("bootstrap_key", "sk_test_"),
    ("bootstrap_key", "sk_test_with blank"),
    ("bootstrap_key", "sk_live_tooshort"),
    ("bootstrap_key", "sk_live_0123 56789!bcdef"),
    ("bootstrap_key", "sk_test_" + "x" * 129),
    ("bootstrap_key", "sk_live_" + "x" * 129),
    ("timezone", "Mars/Olympus"),
    ("timezone", ""),
    ("timezone", "Africa"),
    ("timezone", "/etc/localtime"),
    ("timezone", "UTC+3"),
    ("timezone", "localtime"),
    ("timezone", "right/Europe/Berlin"),
    ("timezone", "Factory"),
    ("canonical_base", "mediloop.co/fhir"),
    ("canonical_base", "https://mediloop.co/fhir/"),
    ("canonical_base", "https://mediloop.co/fhir "),
    ("canonical_base", "https://medi loop.co/fhir"),
    ("uhid_system", ""),
    ("uhid_system", "urn: ours"),
    ("uhid_system", "https://mediloop.co/fhir/sid/appointment-number"),
    ("uhid_aliases", "urn:a,https://mediloop.co/fhir/sid/appointment-number"),
    ("uhid_aliases", "urn:a,urn: b"),
    ("uhid_aliases", '["urn:a"]'),
    *(("uhid_system", wrong) for wrong in ("'urn:a'", '"urn:a"', "{urn:a}", "<urn:a>", "urn:a[1]", "https://[x]/sid")),
    ("uhid_pattern", "^UG[0-9"),
    ("uhid_pattern", ""),
    ("data_dir", ""),
    ("data_dir", " "),
    ("concept_maps", "nowhere"),
    ("concept_maps", ""),
    ("unknown_patients", "maybe"),
    ("unknown_actors", ""),
    ("rate_limit_test", "-1"),
    ("rate_limit_test", "2147483648"),
    ("rate_limit_live", "2147483648"),
    ("hold_seconds", "0"),
    ("proposal_seconds", "0"),
    ("rate_limit_live", "many"),
    ("cors_origins", "portal.example.org"),
    ("cors_origins", "https://*.example.org"),
    ("cors_origins", "https://münchen.example"),
    ("cors_origins", "https://user:pw@h.example"),
    ("cors_origins", "https://h.example:"),
    ("cors_origins", "https://h.example:99999"),
    ("cors_origins", "*,https://portal.example.org/"),
    ("max_body_bytes", "1023"),
    ("log_format", "xml"),
    ("log_level", "LOUD"),
    ("bulk_publish", "perhaps"),
    ("publish_days", "-1"),
    ("booking_link", "ftp://example.org/{slot}"),
    ("booking_phone", "call us"),
    ("export_url", "somewhere"),
    ("export_url", "https://exports.example.org/x"),
    ("export_hours", "0"),
    ("export_hours", "inf"),
    ("export_hours", "nan"),
    ("export_hours", "1e300"),
    ("export_jobs", "0"),
    ("export_file_resources", "none"),
    ("deidentify_key", "short"),
    ("demo", "perhaps"),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_one_is_one_line_that_names_it(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"{PREFIX}{name.upper()}", value)
    with pytest.raises(SettingsError) as raised:
        load()
    text = str(raised.value)
    assert text.startswith(f"Bad setting. {PREFIX}{name.upper()}: ")
    assert "\n" not in text
    assert "pydantic" not in text
    assert len(text) < 300


@pytest.mark.parametrize("name", Settings.model_fields)
def test_bytes_that_are_no_text_are_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"{PREFIX}{name.upper()}", os.fsdecode(b"mongodb://user:hunter2\xff"))
    with pytest.raises(SettingsError) as raised:
        load()
    assert str(raised.value) == f"Bad setting. {PREFIX}{name.upper()}: it is no text in UTF-8."


def test_every_setting_that_can_be_bad_is_among_these() -> None:
    assert set(Settings.model_fields) == {name for name, _ in BAD}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("base_url", "https://fhir.example.org/fhir/R4", "nor /fhir/R4, which is added"),
        ("base_url", "fhir.example.org", "https://fhir.example.org"),
        ("canonical_base", "https://mediloop.co/fhir ", "blank"),
        ("uhid_system", "urn: ours", "blank"),
        ("uhid_aliases", "urn:a,urn: b", "blank"),
        ("uhid_aliases", '["urn:a", "urn:b"]', "separated by commas: urn:oid:1.2.3,https://"),
        ("deidentify_key", "short", "16 characters"),
        ("booking_link", "portal", "https://portal.example.org"),
        ("export_url", "somewhere", "s3://bucket/folder"),
        ("data_dir", "", "empty"),
        ("concept_maps", "", "empty"),
        ("uhid_pattern", "", "empty"),
        ("mongodb_uri", "mongodb://host/?tlsCaFil=/x&w=1", "there is no option tlsCaFil."),
        ("mongodb_uri", "mongodb+srv://host/?retryWrite=true", "there is no option retryWrite."),
        ("mongodb_uri", "mongodb://host/?maxPoolSize=many", "maxPoolSize has a value that it does not take."),
        ("mongodb_uri", "mongodb://host/?tlsCAFile=/nowhere/ca.pem", "the file of tlsCAFile cannot be read."),
        ("uhid_system", "https://mediloop.co/fhir/sid/appointment-number", "the system of appointment numbers"),
        ("demo", "", "it is empty; leave it out for the default"),
        ("host", "", "it is empty; leave it out for the default"),
        ("port", " ", "it is empty; leave it out for the default"),
        ("port", "tcp://10.0.0.1:80", "enableServiceLinks: false"),
    ],
)
def test_what_would_be_right_is_said(monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str) -> None:
    monkeypatch.setenv(f"{PREFIX}{name.upper()}", value)
    with pytest.raises(SettingsError, match=re.escape(said)) as raised:
        load()
    assert "pattern" not in str(raised.value)


def test_all_bad_ones_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTER_PORT", "http")
    monkeypatch.setenv("ADAPTER_TIMEZONE", "Mars/Olympus")
    with pytest.raises(SettingsError, match=r"ADAPTER_PORT: .*; ADAPTER_TIMEZONE: "):
        load()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bootstrap_key", "sk_live_hunter2"),
        ("mongodb_uri", "mongodb://user:hunter2/x@host/"),
        ("mongodb_uri", "hunter2"),
        ("mongodb_uri", "mongodb://user:x?hunter2=x@host/?tlsCaFil=hunter2"),
    ],
)
def test_a_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"{PREFIX}{name.upper()}", value)
    with pytest.raises(SettingsError) as raised:
        load()
    assert "hunter2" not in str(raised.value)


def test_secrets_are_not_printed() -> None:
    printed = repr(load(mongodb_uri="mongodb://u:hunter2@host/", bootstrap_key="sk_test_hunter2"))
    assert "hunter2" not in printed


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("port", "0", 0),
        ("workers", "64", 64),
        ("demo", "false", False),
        ("demo", "1", True),
        ("rate_limit_test", "0", 0),
        ("timezone", "Africa/Kampala", "Africa/Kampala"),
        ("canonical_base", "urn:example:fhir", "urn:example:fhir"),
        ("uhid_aliases", "", ()),
        ("uhid_aliases", "urn:a, urn:b ,", ("urn:a", "urn:b")),
        (
            "uhid_system",
            "https://[2001:db8::7]:8443/it's/(sid)?a=%5B;b",
            "https://[2001:db8::7]:8443/it's/(sid)?a=%5B;b",
        ),
        ("unknown_patients", "refuse", "refuse"),
        ("log_format", "console", "console"),
    ],
)
def test_a_good_one_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: Any
) -> None:
    monkeypatch.setenv(f"{PREFIX}{name.upper()}", text)
    assert getattr(load(), name) == value


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://localhost",
        "mongodb://a:27017,b:27018/?replicaSet=rs0",
        "mongodb://user:p%40ss@host/admin?tls=true",
        "mongodb://%2Ftmp%2Fmongod.sock/?directConnection=true",
        "mongodb+srv://cluster.example.org/",
        "mongodb://host/?w=1&tlsInsecure=true",
    ],
)
def test_any_mongodb_address_is_taken(uri: str) -> None:
    read = load(mongodb_uri=uri).mongodb_uri
    assert read is not None
    assert read.get_secret_value() == uri


@pytest.mark.parametrize(
    "key", ["sk_test_x", "sk_test_" + "x" * 128, "sk_live_0123456789abcdef", "sk_live_" + "x" * 128]
)
def test_any_key_that_the_key_store_takes_is_taken(key: str) -> None:
    read = load(bootstrap_key=key).bootstrap_key
    assert read is not None
    assert read.get_secret_value() == key


def test_a_dot_env_file_is_read_and_the_environment_goes_before_it(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere / ".env").write_text("ADAPTER_PORT=9001\nADAPTER_TIMEZONE=Africa/Kampala\nOTHER=x\n")
    assert (load().port, load().timezone) == (9001, "Africa/Kampala")
    monkeypatch.setenv("ADAPTER_PORT", "9002")
    assert load().port == 9002


@pytest.mark.parametrize("where", ["environment", ".env"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ADAPTER_TIME_ZONE", "the nearest is ADAPTER_TIMEZONE"),
        ("ADAPTER_MONGO_URI", "the nearest is ADAPTER_MONGODB_URI"),
        ("ADAPTER_PROT", "the nearest is ADAPTER_PORT"),
        ("ADAPTOR_TIMEZONE", "the nearest is ADAPTER_TIMEZONE"),
        ("ADPTER_PORT", "the nearest is ADAPTER_PORT"),
    ],
)
def test_one_that_there_is_not_is_named_with_the_nearest(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, where: str, name: str, said: str
) -> None:
    if where == ".env":
        (elsewhere / ".env").write_text(f"{name}=Africa/Kampala\n")
    else:
        monkeypatch.setenv(name, "Africa/Kampala")
    monkeypatch.setenv("ADAPTER_WORKERS", "0")
    with pytest.raises(SettingsError) as raised:
        load()
    assert str(raised.value).startswith(f"Bad setting. {name}: there is no such setting; {said}; ADAPTER_WORKERS: ")


@pytest.mark.parametrize("line", ["TIMEZONE=Africa/Kampala", "export timezone = Africa/Kampala"])
def test_a_line_that_is_a_setting_without_its_prefix_is_named(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    (elsewhere / ".env").write_text(f"{line}\nMONGODB_URL=x\nIMPORT=y\n")
    with pytest.raises(SettingsError) as raised:
        load()
    assert str(raised.value) == (
        "Bad setting. TIMEZONE: there is no such setting in .env; write ADAPTER_TIMEZONE (and give that, too, where "
        "this line is for another program)."
    )
    monkeypatch.setenv("ADAPTER_TIMEZONE", "Africa/Lagos")
    assert load().timezone == "Africa/Lagos"


def test_what_a_dot_env_file_says_is_taken_as_it_is_written(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAME", "other")
    (elsewhere / ".env").write_text('ADAPTER_DEIDENTIFY_KEY="0123456789${NAME}abcdef"\n')
    read = load().deidentify_key
    assert read is not None
    assert read.get_secret_value() == "0123456789${NAME}abcdef"


def test_a_dot_env_file_is_read_once(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(elsewhere / ".env")  # a pipe gives what it has once
    writer = threading.Thread(target=(elsewhere / ".env").write_text, args=("ADAPTER_PORT=9001\n_env_file=x\n",))
    writer.start()
    read = load(workers=2)
    writer.join()
    assert (read.port, read.workers) == (9001, 2)
    assert read.model_fields_set == {"port", "workers"}


def test_what_others_put_into_the_environment_is_let_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URI_VARIABLE, "mongodb://host/")  # of `serve`, for its workers
    monkeypatch.setenv("ADAPTER_VERSION", "1.2")  # like no setting
    # Of Kubernetes, for its Service `adapter-api`.
    monkeypatch.setenv("ADAPTER_API_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("ADAPTER_API_PORT_80_TCP_ADDR", "10.0.0.1")
    assert load().port == 8000
    monkeypatch.setenv("TIMEZONE", "Africa/Kampala")  # without the prefix it is anybody's
    monkeypatch.setenv("adapter_port", "9001")
    assert load().port == 9001


def test_a_service_of_kubernetes_that_has_our_prefix_hides_no_misspelt_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT_80_TCP", "PORT_80_TCP_PORT"):
        monkeypatch.setenv(f"ADAPTER_{name}", "10.0.0.1")
    monkeypatch.setenv("ADAPTER_PORT", "8080")
    assert load().port == 8080
    monkeypatch.setenv("ADAPTER_TIME_ZONE", "Africa/Kampala")
    with pytest.raises(SettingsError, match="ADAPTER_TIME_ZONE: there is no such setting"):
        load()


@pytest.mark.parametrize(("place", "said"), [("/proc/self/mem", "Input/output error"), (None, "UTF-8")])
def test_a_dot_env_file_that_cannot_be_read_is_one_line(elsewhere: Path, place: str | None, said: str) -> None:
    (elsewhere / ".env").write_bytes(b"ADAPTER_HOST=\xff\n") if place is None else (elsewhere / ".env").symlink_to(
        place
    )
    with pytest.raises(SettingsError, match=rf"^Bad setting\. \.env: [^\n]*{said}[^\n]*$"):
        load()


def test_a_bad_line_of_a_dot_env_file_is_named(elsewhere: Path) -> None:
    (elsewhere / ".env").write_text("ADAPTER_PORT=http\n")
    with pytest.raises(SettingsError, match="ADAPTER_PORT"):
        load()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("ADAPTER_TIMEZONE: Africa/Kampala", ".env, line 1: write NAME=value"),
        ("# ours\nADAPTER_PORT 8726\nX=1", ".env, line 2: write NAME=value"),
        (
            "ADAPTER_PORT",
            "ADAPTER_PORT: it has no value in .env; write ADAPTER_PORT=value, or leave it out for the default",
        ),
    ],
)
def test_a_line_of_a_dot_env_file_that_sets_nothing_is_named(
    elsewhere: Path, caplog: pytest.LogCaptureFixture, lines: str, said: str
) -> None:
    """Passed over, it would leave the default, and nobody would know."""
    (elsewhere / ".env").write_text(f"{lines}\n")
    with pytest.raises(SettingsError) as raised:
        load()
    assert str(raised.value) == f"Bad setting. {said}."
    assert caplog.text == ""
    (elsewhere / ".env").write_text("OTHER\n")
    assert load().port == 8000


def test_origins_are_those_that_browsers_send(monkeypatch: pytest.MonkeyPatch) -> None:
    given = "https://Portal.example.org,HTTPS://b.org:443,http://c.org:80,http://d.org:443,https://[::1]:8443,*"
    monkeypatch.setenv("ADAPTER_CORS_ORIGINS", given)
    sent = (
        "https://portal.example.org",
        "https://b.org",
        "http://c.org",
        "http://d.org:443",
        "https://[::1]:8443",
        "*",
    )
    assert load().cors_origins == sent


def test_a_public_address_may_be_one_of_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTER_BASE_URL", "http://[::1]:8000/x")
    assert load().fhir_bases == ("http://[::1]:8000/x/fhir/R4",)


def test_what_the_command_line_gives_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTER_PORT", "9001")
    monkeypatch.setenv("ADAPTER_WORKERS", "2")
    read = load(port=9002, workers=None, host=None)
    assert (read.port, read.workers, read.host) == (9002, 2, "127.0.0.1")
    with pytest.raises(SettingsError, match="ADAPTER_PORT"):
        load(port=70_000)


def test_the_defaults_work_on_a_laptop(elsewhere: Path) -> None:
    read = load()
    assert read.data_dir == elsewhere / "data"
    assert read.zone is timezones.zone("UTC")
    assert (read.host, read.port, read.rate_limit_test, read.rate_limit_live) == ("127.0.0.1", 8000, 100, 300)


def test_the_working_directory_may_be_the_data_folder_by_its_name(elsewhere: Path) -> None:
    assert load(data_dir=".").data_dir == elsewhere


def test_a_data_folder_may_be_named_from_home(monkeypatch: pytest.MonkeyPatch, elsewhere: Path) -> None:
    monkeypatch.setenv("HOME", str(elsewhere))
    assert load(data_dir="~/clinic").data_dir == elsewhere / "clinic"


@pytest.mark.parametrize(
    ("given", "loads"),
    [
        ({}, True),
        ({"mongodb_uri": "mongodb://host/"}, False),
        ({"mongodb_uri": "mongodb://host/", "demo": True}, True),
        ({"demo": False}, False),
    ],
)
def test_the_demo_clinic_is_loaded_unless_mongodb_is_somebody_elses(given: dict[str, Any], loads: bool) -> None:
    assert load(**given).loads_demo is loads


def test_every_setting_says_what_it_is_for() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith((".", ")"))


class TestConceptMaps:
    def test_a_folder_without_files_changes_nothing(self, elsewhere: Path) -> None:
        vocabulary = vocabulary_of(load(concept_maps=elsewhere))
        assert vocabulary.reason_to_hl7.translate("patient-request") == "pat"

    @pytest.mark.parametrize(
        "text", ["{", "", "[]", '{"resourceType": "Patient"}', '{"resourceType": "ConceptMap"}', f"{STATUS_MAP[:-1]}]"]
    )
    def test_a_file_that_cannot_be_used_is_named_in_one_line(self, elsewhere: Path, text: str) -> None:
        (elsewhere / "a.json").write_text(STATUS_MAP)
        (elsewhere / "b.json").write_text(text)
        (elsewhere / "c.json").write_text("{")
        with pytest.raises(SettingsError, match=r"^Bad setting\. ADAPTER_CONCEPT_MAPS: b\.json: [^\n]+[^.]\.$"):
            vocabulary_of(load(concept_maps=elsewhere))

    @pytest.mark.parametrize(
        ("text", "told"), [(STATUS_MAP, "is given twice."), (REASON_MAP.replace("booked", " "), "has no code.")]
    )
    def test_of_two_that_are_json_the_wrong_one_is_named(self, elsewhere: Path, text: str, told: str) -> None:
        (elsewhere / "a.json").write_text(STATUS_MAP)
        (elsewhere / "b.json").write_text(text)
        with pytest.raises(SettingsError, match=rf"CONCEPT_MAPS: b\.json: .* {told}$"):
            vocabulary_of(load(concept_maps=elsewhere))

    def test_one_that_cannot_be_read_is_named(self, elsewhere: Path) -> None:
        (elsewhere / "map.json").mkdir()
        with pytest.raises(SettingsError, match=r"CONCEPT_MAPS: map\.json: it cannot be read \(Is a directory\)\.$"):
            vocabulary_of(load(concept_maps=elsewhere))

    def test_each_of_several_is_used(self, elsewhere: Path) -> None:
        (elsewhere / "a.json").write_text(STATUS_MAP)
        (elsewhere / "b.json").write_text(REASON_MAP)
        vocabulary = vocabulary_of(load(concept_maps=elsewhere))
        assert vocabulary.status_to_fhir.translate("booked") == "booked"
        assert vocabulary.reason_to_hl7.translate("patient-request") is None


def test_the_systems_follow_from_the_settings() -> None:
    systems = systems_of(load(canonical_base="urn:x", uhid_aliases="urn:old"))
    assert systems.appointment_number == "urn:x/sid/appointment-number"
    assert systems.all_uhid == ("urn:x/sid/uhid", "urn:old")
    assert systems_of(load(uhid_system="urn:ours")).uhid == "urn:ours"
    assert systems_of(load()) == DEFAULT_SYSTEMS


@pytest.mark.parametrize("base", ["https://mediloop.co/fhir", "urn:x", "https://own.example/fhir"])
def test_who_loads_no_mapping_knows_the_same_systems(base: str) -> None:
    settings = load(canonical_base=base)
    systems = systems_of(settings)
    assert (settings.number_system, settings.uhid_systems) == (systems.appointment_number, systems.all_uhid)
