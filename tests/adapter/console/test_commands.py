"""What the command line prints, stores and returns."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapter import __version__
from adapter.scheduling import publishing
from tests.adapter.console.cli import Cli
from tests.adapter.console.imports import SCHEDULE, Import, lines

Stored = Callable[..., list[dict[str, Any]]]

WEEK = ("--from", "2027-01-04", "--to", "2027-01-10")
GENERATE = ("slots", "generate", "--practitioner", "prov-abc-123", "--hours", "mon-fri 09:00-12:00", *WEEK)


class TestVersionAndSettings:
    def test_version_is_printed_for_people_and_for_scripts(self, cli: Cli) -> None:
        assert cli.run("version").stdout.strip() == __version__
        assert cli.run("--version").stdout.strip() == __version__
        assert cli.json("version") == {"version": __version__}

    def test_no_command_shows_the_commands(self, cli: Cli) -> None:
        shown = cli.run()
        for command in ("serve", "settings", "keys", "demo", "slots", "translate", "version"):
            assert command in shown.output

    @pytest.mark.parametrize(
        "words", [("serve",), ("settings",), ("keys", "create"), ("slots", "generate"), ("translate",)]
    )
    def test_every_help_text_has_an_example(self, cli: Cli, words: tuple[str, ...]) -> None:
        assert "Example:" in cli.run(*words, "--help").output

    def test_settings_tell_values_defaults_and_origin_without_secrets(
        self, cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ADAPTER_PORT", "8765")
        monkeypatch.setenv("ADAPTER_BOOTSTRAP_KEY", "sk_test_neverprinted")
        rows = {row["name"]: row for row in cli.json("settings")}
        assert rows["ADAPTER_PORT"] == rows["ADAPTER_PORT"] | {"value": 8765, "origin": "environment", "default": 8000}
        assert rows["ADAPTER_TIMEZONE"]["origin"] == "default"
        assert [rows["ADAPTER_EXPORT_HOURS"][name] for name in ("value", "default")] == [24.0, 24.0]
        assert rows["ADAPTER_BOOTSTRAP_KEY"]["value"] == "(secret)"
        text = cli.run("settings").stdout
        assert "ADAPTER_PORT = 8765   (environment)" in text
        assert "neverprinted" not in text

    def test_settings_tell_where_exports_go_without_the_password(
        self, cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ADAPTER_EXPORT_URL", "sftp://user:ge@heim@files.example.org:22/x@y/exports")
        rows = {row["name"]: row for row in cli.json("settings")}
        assert rows["ADAPTER_EXPORT_URL"]["value"] == "sftp://(secret)@files.example.org:22/x@y/exports"
        assert "heim" not in cli.run("settings").stdout

    def test_a_bad_setting_is_one_clear_line(self, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ADAPTER_TIMEZONE", "Mars/Olympus")
        result = cli.run("settings")
        assert result.exit_code == 1
        assert result.stderr.strip() == (
            "mediloop-fhir: Bad setting. ADAPTER_TIMEZONE: no such time zone; use an IANA name such as Africa/Kampala."
        )


class TestKeys:
    def test_a_key_is_made_listed_rolled_and_revoked(self, cli: Cli) -> None:
        made = cli.json("keys", "create", "--name", "portal", "--permission", "appointments:read,write")
        assert made["key"].startswith("sk_test_")
        assert made["permissions"] == {"appointments": ["read", "write"]}
        rolled = cli.json("keys", "roll", made["id"])
        assert rolled["key"] != made["key"]
        listed = {row["id"]: row for row in cli.json("keys", "list")}
        assert listed[made["id"]]["expires"] is not None
        assert listed[rolled["id"]]["expires"] is None
        assert made["key"] not in json.dumps(list(listed.values()))
        assert cli.json("keys", "revoke", rolled["id"]) == {"revoked": rolled["id"]}
        assert rolled["id"] not in {row["id"] for row in cli.json("keys", "list")}

    @pytest.mark.parametrize("words", [(), ("--json",)])
    def test_one_that_cannot_be_shown_is_named(self, cli: Cli, words: tuple[str, ...]) -> None:
        command = [sys.executable, "-m", "adapter", "keys", "create", "--name", "first", *words]
        with Path("/dev/full").open("wb") as full:
            ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        [made] = cli.json("keys", "list")
        assert ended.returncode == 1
        last = ended.stderr.splitlines()[-1]
        assert last.startswith("mediloop-fhir: the key cannot be shown (No space left on device).")
        assert f"keys revoke {made['id']}`" in last

    def test_none_is_made_or_rolled_where_it_cannot_be_shown(self, cli: Cli) -> None:
        made = cli.json("keys", "create", "--name", "first")
        for words in (("create", "--name", "second"), ("roll", made["id"])):
            command = shlex.join([sys.executable, "-m", "adapter", "keys", *words])
            ended = subprocess.run(["sh", "-c", f"{command} >&-"], stderr=subprocess.PIPE, text=True, check=False)
            assert (ended.returncode, ended.stderr) == (
                1,
                "mediloop-fhir: there is no standard output to print to. Give the command one.\n",
            )
        assert [one["id"] for one in cli.json("keys", "list")] == [made["id"]]

    def test_for_people_the_secret_alone_goes_to_standard_output(self, cli: Cli) -> None:
        result = cli.run("keys", "create", "--name", "first", "--mode", "live")
        assert result.stdout.startswith("sk_live_")
        assert len(result.stdout.split()) == 1
        listing = cli.run("keys", "list").stdout
        assert "first" in listing
        assert "appointments:read,write" in listing
        key_id = listing.split()[0]
        assert "is revoked" in cli.run("keys", "revoke", key_id).stdout
        assert cli.run("keys", "list").stdout == ""

    def test_a_rolled_key_shows_when_it_ends(self, cli: Cli) -> None:
        made = cli.json("keys", "create", "--name", "first")
        cli.json("keys", "roll", made["id"])
        assert ", ends 2" in cli.run("keys", "list").stdout

    @pytest.mark.parametrize(
        ("limit", "told"),
        [((), ""), (("--rate-limit", "30"), ", 30 requests a minute"), (("--rate-limit", "0"), ", no rate limit")],
    )
    def test_a_listed_one_tells_when_it_was_made_and_a_limit_of_its_own(
        self, cli: Cli, limit: tuple[str, ...], told: str
    ) -> None:
        made = cli.json("keys", "create", "--name", "first", *limit)
        [line, _] = cli.run("keys", "list").stdout.splitlines()
        assert line.endswith(f"  first, made {made['created']}{told}")

    @pytest.mark.parametrize("command", ["roll", "revoke"])
    def test_an_unknown_key_is_named(self, cli: Cli, command: str) -> None:
        result = cli.run("keys", command, "key_nothing")
        assert result.exit_code == 1
        assert "there is no key key_nothing" in result.stderr

    def test_a_bad_permission_is_a_usage_error(self, cli: Cli) -> None:
        result = cli.run("keys", "create", "--name", "x", "--permission", "appointments:delete")
        assert result.exit_code == 2
        assert "delete" in result.stderr

    def test_a_key_cannot_be_rolled_twice(self, cli: Cli) -> None:
        made = cli.json("keys", "create", "--name", "first")
        cli.json("keys", "roll", made["id"])
        result = cli.run("keys", "roll", made["id"])
        assert result.exit_code == 1
        assert result.stderr.startswith("mediloop-fhir: ")


class TestDemo:
    def test_the_clinic_is_loaded_once(self, cli: Cli, stored: Stored) -> None:
        first = cli.json("demo", "load")["created"]
        assert {"slot-001", "slot-002", "slot-003"} <= {slot["_id"] for slot in stored("Slot")}
        assert "apt-123-456-789" in {appointment["_id"] for appointment in stored("Appointment")}
        total = sum(
            len(stored(kind)) for kind in ("Appointment", "Slot", "Schedule", "Patient", "Practitioner", "Location")
        )
        assert first == total
        assert "0 resources made" in cli.run("demo", "load").stdout
        assert stored("Appointment", mode="live") == []


class TestSlots:
    def test_a_week_is_published_once(self, clinic: Cli, stored: Stored) -> None:
        cli = clinic
        made = cli.json(*GENERATE, "--facility", "fac-xyz-789", "--timezone", "Africa/Kampala", "--specialty", "eyes")
        assert made["slots_created"] == 5 * 6
        slots = [slot for slot in stored("Slot") if slot["schedule"]["reference"] == f"Schedule/{made['schedule']}"]
        assert min(slot["start"] for slot in slots) == "2027-01-04T06:00:00Z"
        [schedule] = [one for one in stored("Schedule") if one["_id"] == made["schedule"]]
        assert [actor["reference"] for actor in schedule["actor"]] == [
            "Practitioner/prov-abc-123",
            "Location/fac-xyz-789",
        ]
        assert schedule["specialty"][0]["coding"][0]["code"] == "eyes"
        again = cli.run(*GENERATE, "--facility", "fac-xyz-789", "--timezone", "Africa/Kampala", "--specialty", "eyes")
        assert "0 slots made" in again.stdout
        assert len(stored("Schedule")) == 5

    def test_another_specialty_changes_the_schedule(self, clinic: Cli, stored: Stored) -> None:
        cli = clinic
        made = cli.json(*GENERATE, "--service-type", "consultation")
        cli.json(*GENERATE, "--service-type", "vaccination")
        [schedule] = [one for one in stored("Schedule") if one["_id"] == made["schedule"]]
        assert schedule["serviceType"][0]["coding"][0]["code"] == "vaccination"
        assert schedule["meta"]["versionId"] == "2"

    def test_blanks_around_a_code_are_taken_off(self, clinic: Cli, stored: Stored) -> None:
        made = clinic.json(*GENERATE, "--service-type", " gp ")
        [schedule] = [one for one in stored("Schedule") if one["_id"] == made["schedule"]]
        assert schedule["serviceType"][0]["coding"][0]["code"] == "gp"

    def test_what_fhir_does_not_take_is_not_stored(self, clinic: Cli, stored: Stored) -> None:
        result = clinic.run(*GENERATE, "--specialty", "eyes  ears")
        assert result.exit_code == 1
        assert len(result.stderr.strip().splitlines()) == 1
        assert "Schedule.specialty" in result.stderr
        assert len(stored("Schedule")) == 4

    @pytest.mark.parametrize("words", [GENERATE, ("slots", "hours", *GENERATE[2:6])], ids=["generate", "hours"])
    def test_an_inactive_schedule_is_not_filled(
        self, clinic: Cli, stored: Stored, bring: Import, words: tuple[str, ...]
    ) -> None:
        ident = publishing.schedule_id("prov-abc-123", None)
        assert bring(
            a__ndjson=lines(
                SCHEDULE | {"id": ident, "active": False, "actor": [{"reference": "Practitioner/prov-abc-123"}]}
            )
        ) == {"created": 1}
        before = stored("Slot"), stored("Schedule")
        result = clinic.run(*words, "--specialty", "eyes")
        assert result.exit_code == 1
        assert f"Schedule/{ident} is not active, so nobody could book there. Set its active to true" in result.stderr
        assert (stored("Slot"), stored("Schedule")) == before

    def test_an_unknown_practitioner_is_named(self, cli: Cli) -> None:
        result = cli.run(*GENERATE)
        assert result.exit_code == 1
        assert "Practitioner/prov-abc-123 is not stored in the test database" in result.stderr

    @pytest.mark.parametrize(
        ("words", "named"),
        [
            (("--hours", "always"), "cannot read the hours"),
            (("--timezone", "Mars/Olympus"), "Mars/Olympus"),
            (("--timezone", "Africa"), "no time zone"),  # a folder of the database
            (("--to", "2027-01-01"), "--to must be --from or later"),
            (("--to", "2031-01-01"), "by 731 days at most"),
            (("--from", "0227-03-14", "--to", "0227-03-15"), "--from and --to have years from 1900 to 2999"),
            (("--from", "2999-12-31", "--to", "3000-01-01"), "--from and --to have years from 1900 to 2999"),
            (("--from", "9999-12-31", "--to", "9999-12-31"), "--from and --to have years from 1900 to 2999"),
            (("--specialty", ""), "'--specialty': it is blank: give a value, or leave it out"),
            (("--service-type", " "), "'--service-type': it is blank"),
            (("--facility", ""), "'--facility': it is blank"),
            (("--practitioner", ""), "'--practitioner': it is blank: give a value"),
        ],
    )
    def test_bad_words_are_usage_errors(self, cli: Cli, words: tuple[str, ...], named: str) -> None:
        result = cli.run(*GENERATE, *words)
        assert result.exit_code == 2
        assert named in " ".join(result.stderr.replace("│", " ").split())


class TestTranslate:
    MEDILOOP = (
        '{"id": "a1", "status": "booked", "patient_uhid": "UG123456789A", '
        '"start_time": "2024-01-20T10:00:00Z", "duration_minutes": 30}'
    )

    def test_there_and_back_gives_what_was_given(self, cli: Cli) -> None:
        fhir = cli.run("translate", "--to", "fhir", stdin=self.MEDILOOP)
        assert json.loads(fhir.stdout)["resourceType"] == "Appointment"
        back = json.loads(cli.run("translate", "--to", "mediloop", stdin=fhir.stdout).stdout)
        assert back == back | json.loads(self.MEDILOOP)

    def test_a_list_stays_a_list(self, cli: Cli) -> None:
        fhir = cli.run("translate", "--to", "fhir", stdin=f"[{self.MEDILOOP}, {self.MEDILOOP}]")
        assert [one["id"] for one in json.loads(fhir.stdout)] == ["a1", "a1"]

    @pytest.mark.parametrize("given", ["", "{", "3", '["x"]', '{"nonsense": 1}', '{"start_time": 5}'])
    def test_what_cannot_be_translated_is_said_in_one_line(self, cli: Cli, given: str) -> None:
        result = cli.run("translate", "--to", "fhir", stdin=given)
        assert result.exit_code == 1
        assert result.stderr.startswith("mediloop-fhir: cannot translate: ")
        assert len(result.stderr.strip().splitlines()) == 1

    def test_a_page_of_a_list_is_a_list(self, cli: Cli) -> None:
        one = json.loads(cli.run("translate", "--to", "fhir", stdin=self.MEDILOOP).stdout)
        shown = json.loads(cli.run("translate", "--to", "mediloop", stdin=json.dumps(one)).stdout)
        whole = json.loads(cli.run("translate", "--to", "fhir", stdin=json.dumps(shown)).stdout)
        page = {"count": 1, "total": 1, "page": 1, "page_size": 20, "next": None, "previous": None, "results": [shown]}
        assert json.loads(cli.run("translate", "--to", "fhir", stdin=json.dumps(page)).stdout) == [whole]

    @pytest.mark.parametrize(
        ("given", "named"),
        [
            ('{"resourceType": "Patient", "id": "p"}', "it has the resourceType Patient. Give FHIR Appointments"),
            ('{"resourceType": "Bundle", "type": "searchset"}', "it has the resourceType Bundle"),
            (
                '[{"foo": 1}, {"resourceType": "Appointment", "status": "booked"}]',
                "item 1 of the list: it has no resourceType",
            ),
            ('{"count": 0, "results": []}', "it has no resourceType"),
            ("", "nothing came in. Give an appointment as JSON on standard input"),
            (" \n", "nothing came in"),
        ],
    )
    def test_nothing_but_appointments_becomes_mediloops(self, cli: Cli, given: str, named: str) -> None:
        result = cli.run("translate", "--to", "mediloop", stdin=given)
        assert result.exit_code == 1
        assert result.stdout == ""
        assert result.stderr.startswith(f"mediloop-fhir: cannot translate: {named}")

    @pytest.mark.parametrize(
        ("to", "given", "said"),
        [
            ("fhir", '{"id": 5}', "id: input should be a valid string."),
            ("fhir", '{"id": "a", "status": ["x"]}', "status: give one of proposed, "),
            ("fhir", '[{"status": "foo"}]', "item 1 of the list: status: give one of proposed, "),
            ("fhir", '{"id": "a", "id": "b"}', "id: Given twice in one object"),
            ("fhir", '{"id": "a1", "status": "booked"}', "Appointment.participant: Appointment needs participant."),
            ("mediloop", '{"resourceType": "Appointment", "participant": "x"}', "Appointment.participant: participant"),
            ("mediloop", '{"resourceType": "Appointment", "participant": []}', "Appointment.participant: "),
            ("mediloop", '{"resourceType": "Appointment", "priority": 1e1000000}', "Appointment.priority: The number"),
        ],
    )
    def test_what_no_door_would_take_is_refused(self, cli: Cli, to: str, given: str, said: str) -> None:
        result = cli.run("translate", "--to", to, stdin=given)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith(f"mediloop-fhir: cannot translate: {said}")
        assert len(result.stderr.splitlines()) == 1

    def test_a_proposal_has_no_time_yet(self, cli: Cli) -> None:
        given = '{"status": "proposed", "patient_uhid": "UG123456789A"}'
        fhir = cli.run("translate", "--to", "fhir", stdin=given)
        back = json.loads(cli.run("translate", "--to", "mediloop", stdin=fhir.stdout).stdout)
        assert (back["status"], back["start_time"]) == ("proposed", None)

    def test_a_replaced_code_table_is_used(self, cli: Cli, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ADAPTER_CONCEPT_MAPS", str(tmp_path))
        (tmp_path / "broken.json").write_text('{"resourceType": "Patient"}')
        result = cli.run("translate", "--to", "fhir", stdin=self.MEDILOOP)
        assert result.exit_code == 1
        assert "ADAPTER_CONCEPT_MAPS" in result.stderr


class TestFailures:
    @pytest.mark.parametrize("name", ["", "  "])
    def test_a_key_without_a_name_is_a_usage_error(self, cli: Cli, name: str) -> None:
        result = cli.run("keys", "create", "--name", name)
        assert result.exit_code == 2
        assert "a key needs a name" in result.stderr

    @pytest.mark.parametrize("name", ["a\nb", "a\x1b[31m"])
    def test_a_key_whose_name_is_not_to_be_shown_is_a_usage_error(self, cli: Cli, name: str) -> None:
        result = cli.run("keys", "create", "--name", name)
        assert result.exit_code == 2
        assert "characters that can be shown" in result.stderr

    def test_a_limit_beyond_what_headers_can_say_is_a_usage_error(self, cli: Cli) -> None:
        result = cli.run("keys", "create", "--name", "x", "--rate-limit", str(2**31))
        assert result.exit_code == 2
        assert "2147483647" in result.stderr

    def test_a_mongodb_that_does_not_answer_is_said_in_one_line(
        self, cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(
            "ADAPTER_MONGODB_URI", "mongodb://%2Fnowhere%2Fm.sock/?directConnection=true&serverSelectionTimeoutMS=100"
        )
        result = cli.run("keys", "list")
        assert result.exit_code == 1
        assert result.stderr.startswith("mediloop-fhir: MongoDB does not answer")
