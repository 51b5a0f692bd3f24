"""FHIR clients that others wrote, against the started service: create, search with paging, update, transaction.

`fhirpy` and `fhirclient` (Python), `fhir-kit-client` (JavaScript; skipped where Node 20, npm or its registry is
missing).
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from fhirclient import server as smart
from fhirclient._utils import iter_pages
from fhirclient.models import appointment as appointments
from fhirclient.models import bundle as bundles
from fhirclient.models import patient as patients
from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import MultipleResourcesFound, OperationOutcome, ResourceNotFound

from tests.acceptance.conftest import Running

Json = dict[str, Any]
KIT = Path(__file__).parent / "fhir_kit"
SYSTEM = "urn:clients"
COUNT, PAGE = 11, 4


def base(running: Running) -> str:
    return f"{running.base}/fhir/R4"


@pytest.fixture
def mark() -> str:
    """A word that only this test's resources carry."""
    return f"m{secrets.token_hex(4)}"


def transaction(mark: str) -> Json:
    """A patient, and a visit that refers to it before it has an id."""
    urn = f"urn:uuid:{uuid.uuid4()}"
    visit = {
        "resourceType": "Appointment",
        "status": "proposed",
        "participant": [{"actor": {"reference": urn}, "status": "needs-action"}],
    }
    person = {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": mark}], "name": [{"family": mark}]}
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"resource": visit, "request": {"method": "POST", "url": "Appointment"}},
            {"fullUrl": urn, "resource": person, "request": {"method": "POST", "url": "Patient"}},
        ],
    }


class TestFhirpy:
    def client(self, running: Running, **headers: str) -> Any:  # half of it is untyped
        return SyncFHIRClient(base(running), authorization=f"Bearer {running.key}", extra_headers=headers)

    def test_create_read_search_and_delete(self, running: Running, mark: str) -> None:
        client = self.client(running)
        made = []
        for number in range(COUNT):
            one = client.resource("Patient", name=[{"family": mark, "given": [f"N{number:02}"]}])
            one.save()
            made.append(one.id)
        read = client.reference("Patient", made[0]).to_resource()
        assert read["meta"]["versionId"] == "1"
        everybody = client.resources("Patient").search(family=mark)
        assert everybody.count() == COUNT
        paged = everybody.sort("given").limit(PAGE)
        assert [one.id for one in paged.fetch()] == made[:PAGE], "one page"
        assert [one.id for one in paged] == made, "all pages"
        assert everybody.search(given="N03").get().id == made[3]
        read.delete()
        with pytest.raises(ResourceNotFound, match="deleted"):
            client.get("Patient", made[0])

    def test_a_stale_version_is_refused(self, running: Running, mark: str) -> None:
        client = self.client(running)
        person = client.resource("Patient", name=[{"family": mark}])
        person.save()
        careful = self.client(running, **{"If-Match": 'W/"1"'})
        mine = careful.reference("Patient", person.id).to_resource()
        mine["gender"] = "female"
        mine.save()
        assert mine["meta"]["versionId"] == "2"
        mine["gender"] = "male"
        with pytest.raises(MultipleResourcesFound, match="OperationOutcome"):  # its name for 412
            mine.save()
        assert client.get("Patient", person.id)["gender"] == "female"

    def test_conditional_create_and_update(self, running: Running, mark: str) -> None:
        client = self.client(running)
        who = client.resources("Patient").search(identifier=f"{SYSTEM}|{mark}")
        person = client.resource("Patient", identifier=[{"system": SYSTEM, "value": mark}])
        made, created = who.update(person)
        assert created
        person["active"] = True
        again, created = who.update(person)
        assert (again["id"], created, again["active"]) == (made["id"], False, True)

    def test_a_transaction(self, running: Running, mark: str) -> None:
        client = self.client(running)
        answer = client.execute("", data=transaction(mark))
        assert answer["type"] == "transaction-response"
        assert [one["response"]["status"][:3] for one in answer["entry"]] == ["201", "201"]
        visits = client.resources("Appointment").search(patient__Patient__identifier=f"{SYSTEM}|{mark}")
        visit = visits.include("Appointment", "patient").fetch_raw()
        assert [one["resource"]["resourceType"] for one in visit["entry"]] == ["Appointment", "Patient"]
        assert visit["entry"][0]["resource"]["participant"][0]["actor"]["reference"].startswith("Patient/")

    def test_what_is_invalid_is_told_in_its_own_words(self, running: Running) -> None:
        client = self.client(running)
        wrong = client.resource(
            "Appointment", status="foo", participant=[{"status": "accepted", "type": [{"text": "x"}]}]
        )
        with pytest.raises(OperationOutcome) as refused:
            wrong.save()
        assert refused.value.resource["issue"][0]["code"] in ("code-invalid", "invariant")
        assert wrong.is_valid() is False


class TestFhirclient:
    @pytest.fixture
    def server(self, running: Running) -> Iterator[smart.FHIRServer]:
        made = smart.FHIRServer(None, base_uri=base(running))
        made.session.headers["Authorization"] = f"Bearer {running.key}"
        yield made
        made.session.close()

    def person(self, mark: str, number: int = 0) -> patients.Patient:
        return patients.Patient(
            {
                "resourceType": "Patient",
                "name": [{"family": mark, "given": [f"N{number:02}"]}],
                "birthDate": "1990-05-17",
            }
        )

    def test_the_capability_statement_is_read(self, server: smart.FHIRServer) -> None:
        found = server.capabilityStatement
        assert (found.fhirVersion, found.kind) == ("4.0.1", "instance")
        assert "Appointment" in {one.type for one in found.rest[0].resource}
        assert server.prepare()

    def test_create_read_search_and_delete(self, server: smart.FHIRServer, mark: str) -> None:
        made = [self.person(mark, number).create(server)["id"] for number in range(COUNT)]
        read = patients.Patient.read(made[0], server)
        assert (read.name[0].family, read.meta.versionId) == (mark, "1")
        search = patients.Patient.where({"family": mark, "_sort": "given", "_count": str(PAGE)})
        pages = list(iter_pages(search._read_bundle(server), server))
        assert [len(page.entry) for page in pages] == [4, 4, 3]
        assert [one.resource.id for page in pages for one in page.entry] == made
        read.delete()
        with pytest.raises(requests.HTTPError, match="410"):
            patients.Patient.read(made[0], server)

    def test_a_stale_version_is_refused(self, server: smart.FHIRServer, mark: str) -> None:
        ident = self.person(mark).create(server)["id"]
        mine = patients.Patient.read(ident, server)
        server.session.headers["If-Match"] = 'W/"1"'
        mine.gender = "female"
        assert mine.update(server)["meta"]["versionId"] == "2"
        mine.gender = "male"
        with pytest.raises(requests.HTTPError, match="412"):
            mine.update(server)
        assert patients.Patient.read(ident, server).gender == "female"

    def test_a_transaction(self, server: smart.FHIRServer, mark: str) -> None:
        answer = bundles.Bundle(bundles.Bundle(transaction(mark)).create(server))
        assert (answer.type, [one.response.status[:3] for one in answer.entry]) == ("transaction-response", ["201"] * 2)
        who = f"{SYSTEM}|{mark}"
        search = appointments.Appointment.where({"patient.identifier": who, "_include": "Appointment:patient"})
        found = [one.resource for one in search._read_bundle(server).entry]
        assert [one.resource_type for one in found] == ["Appointment", "Patient"]
        assert found[0].participant[0].actor.reference == f"Patient/{found[1].id}"


def _installed(folder: Path) -> None:
    """Install the JavaScript client there, or skip the test that needs it where Node or the registry is missing."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node and npm are not installed")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.removeprefix("v").split(".")[0]) < 20:
        pytest.skip(f"fhir-kit-client needs Node 20, here is {version.strip()}")
    shutil.copytree(KIT, folder, dirs_exist_ok=True)
    command = [npm, "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
    ask = [npm, "view", "--prefer-online", "fhir-kit-client", "name"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=180)
        reached = done.returncode == 0 or subprocess.run(ask, capture_output=True, timeout=60).returncode == 0
    except subprocess.TimeoutExpired:
        pytest.skip("the npm registry does not answer")
    if not reached:
        pytest.skip(f"the npm registry cannot be reached: {done.stderr[-200:]}")
    assert done.returncode == 0, f"the npm registry is there, but the client cannot be installed: {done.stderr[-2000:]}"


def test_fhir_kit_client(running: Running, tmp_path: Path) -> None:
    _installed(tmp_path)
    done = subprocess.run(
        ["node", "story.js", base(running), running.key], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout.strip().splitlines()[-1:]) == (0, ["done"]), done.stderr


@pytest.mark.parametrize(("registry", "outcome"), [(0, AssertionError), (1, pytest.skip.Exception)])
def test_the_javascript_client_is_left_out_only_without_a_registry(
    registry: int, outcome: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = {
        "node": "echo v20.0.0",
        "npm": f'test "$1" = view && exit {registry}; echo "npm error code ETARGET" >&2; exit 1',
    }
    for name, text in programs.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(outcome, match="ETARGET"):
        _installed(tmp_path / "kit")
