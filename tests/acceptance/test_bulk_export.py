"""A bulk data client against the started service: what Inferno's bulk-data checks ask for, and what a user lives by.

The client is written on httpx, after https://hl7.org/fhir/uv/bulkdata/STU2/export.html: the official one cannot be had
from a registry.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from pymongo import MongoClient

from tests.acceptance.conftest import Running, databases, serving, start
from tests.conftest import URI
from tests.scale import LONG

BIG = int(os.environ.get("EXPORT_RESOURCES", "200000" if LONG else "8000"))
"""Resources of the export that is killed; 200,000 in the long form."""

_PATIENCE = 120.0


@dataclass
class Client:
    """A bulk data client.

    Attributes:
        http: with the key.
        base: of the FHIR server.
    """

    http: httpx.Client
    base: str

    def begin(self, path: str = "$export", **parameters: str) -> str:
        """Kick off; return the address of the status."""
        headers = {"Accept": "application/fhir+json", "Prefer": "respond-async"}
        answer = self.http.get(f"{self.base}/{path}", params=parameters, headers=headers)
        for _ in range(10):
            if answer.status_code != 503:
                break
            # So much was written at once that it has no place in the history's order yet.
            time.sleep(int(answer.headers["retry-after"]))
            answer = self.http.get(f"{self.base}/{path}", params=parameters, headers=headers)
        assert answer.status_code == 202, answer.text
        location = answer.headers["content-location"]
        assert location.startswith("http")
        return str(location)

    def wait(self, location: str) -> dict[str, Any]:
        """Poll as told to until the manifest is there; return it."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            answer = self.http.get(location, headers={"Accept": "application/json"})
            if answer.status_code == 200:
                assert answer.headers["content-type"].startswith("application/json")
                assert parsedate_to_datetime(answer.headers["expires"]).timestamp() > time.time()
                manifest: dict[str, Any] = answer.json()
                datetime.fromisoformat(manifest["transactionTime"])
                assert manifest["request"].startswith(self.base)
                assert manifest["requiresAccessToken"] is True
                for role in ("output", "error", "deleted"):
                    assert isinstance(manifest[role], list)
                return manifest
            assert answer.status_code == 202, answer.text
            assert 0 < len(answer.headers["x-progress"]) < 100
            assert int(answer.headers["retry-after"]) >= 1
            time.sleep(0.2)
        raise AssertionError("the export did not end")

    def lines(self, manifest: dict[str, Any], role: str = "output") -> list[bytes]:
        """Download the files; return their lines."""
        found: list[bytes] = []
        for file in manifest[role]:
            assert file["url"].startswith("http")
            answer = self.http.get(file["url"], headers={"Accept": "application/fhir+ndjson"})
            assert answer.status_code == 200, answer.text
            assert answer.headers["content-type"].startswith("application/fhir+ndjson")
            assert answer.content.endswith(b"\n")
            lines = answer.content.splitlines()
            assert len(lines) == file["count"]
            assert {orjson.loads(line)["resourceType"] for line in lines} == {file["type"]}
            found += lines
        return found

    def export(self, path: str = "$export", **parameters: str) -> dict[str, Any]:
        """Kick off and wait."""
        return self.wait(self.begin(path, **parameters))


def client_of(running: Running) -> Client:
    return Client(httpx.Client(headers=running.headers, timeout=60), f"{running.base}/fhir/R4")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with the demo clinic."""
    with serving(tmp_path_factory.mktemp("export")) as made:
        yield made


@pytest.fixture
def client(running: Running) -> Iterator[Client]:
    made = client_of(running)
    yield made
    made.http.close()


def all_of(client: Client, kind: str) -> dict[str, bytes]:
    """All resources of a type by id, as searches and reads give them."""
    url: str | None = f"{client.base}/{kind}?_count=1000"
    found: dict[str, bytes] = {}
    while url:
        page = client.http.get(url).raise_for_status().json()
        for entry in page.get("entry", ()):
            found[entry["resource"]["id"]] = orjson.dumps(entry["resource"])
        url = next((one["url"] for one in page["link"] if one["relation"] == "next"), None)
    return found


def by_id(lines: list[bytes]) -> dict[str, bytes]:
    found = {orjson.loads(line)["id"]: line for line in lines}
    assert len(found) == len(lines)
    return found


def test_everything_is_exported_as_it_is_read(client: Client) -> None:
    manifest = client.export()
    kinds = {file["type"] for file in manifest["output"]}
    assert {"Appointment", "Slot", "Schedule", "Patient", "Practitioner"} <= kinds
    for kind in sorted(kinds):
        files = [file for file in manifest["output"] if file["type"] == kind]
        exported = by_id(client.lines({"output": files}))
        assert {ident: orjson.loads(line) for ident, line in exported.items()} == {
            ident: orjson.loads(raw) for ident, raw in all_of(client, kind).items()
        }
        ident, line = next(iter(exported.items()))
        assert client.http.get(f"{client.base}/{kind}/{ident}").content == line


def test_a_filtered_export_is_what_the_search_finds(client: Client) -> None:
    """The process that carries it out makes its own store: by other rules it gave up whatever had filters."""
    exported = client.lines(client.export(_type="Slot", _typeFilter="Slot?status=busy"))
    found = client.http.get(f"{client.base}/Slot", params={"status": "busy", "_count": "1000"}).json()["entry"]
    assert {one["resource"]["id"] for one in found} == {orjson.loads(line)["id"] for line in exported}


def test_the_statement_says_so(client: Client) -> None:
    said = client.http.get(f"{client.base}/metadata").json()
    assert "http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data" in said["instantiates"]
    assert {"name": "export", "definition": "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export"} in said[
        "rest"
    ][0]["operation"]
    offered = {one["type"]: [op["name"] for op in one.get("operation", ())] for one in said["rest"][0]["resource"]}
    assert "export" in offered["Patient"]
    assert "export" in offered["Group"]
    assert "export" not in offered["Slot"]


def test_a_deleted_export_is_gone(client: Client) -> None:
    location = client.begin(_type="Practitioner")
    manifest = client.wait(location)
    assert client.http.delete(location).status_code == 202
    for url in (location, manifest["output"][0]["url"]):
        answer = client.http.get(url)
        assert answer.status_code == 404
        assert answer.json()["resourceType"] == "OperationOutcome"
    assert client.http.delete(location).status_code == 404


def test_an_export_may_be_deleted_before_it_has_ended(client: Client) -> None:
    location = client.begin()
    assert client.http.delete(location).status_code == 202
    answer = client.http.get(location)
    assert answer.status_code == 404
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_no_key_no_file(client: Client, running: Running) -> None:
    location = client.begin(_type="Practitioner")
    manifest = client.wait(location)
    for url in (f"{client.base}/$export", location, manifest["output"][0]["url"]):
        answer = httpx.get(url)
        assert answer.status_code == 401
        assert answer.json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize("name", ["application/fhir+ndjson", "application/ndjson", "ndjson"])
def test_the_names_of_the_format(client: Client, name: str) -> None:
    location = client.begin(_type="Location", _outputFormat=name)
    assert client.http.delete(location).status_code == 202  # that it is taken is all that the name decides


def test_a_file_may_come_compressed(client: Client) -> None:
    [file] = client.export(_type="Slot")["output"]
    plain = client.http.get(file["url"], headers={"Accept-Encoding": "identity"})
    packed = client.http.get(file["url"], headers={"Accept-Encoding": "gzip"})
    assert plain.headers["content-length"] == str(len(plain.content))
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content


def test_a_filter_is_the_search_of_that_name(client: Client) -> None:
    search = {"status": "free", "schedule.actor": "Practitioner/prov-abc-123"}
    found = client.http.get(f"{client.base}/Slot", params=search | {"_count": "1000"}).raise_for_status().json()
    told = "&".join(f"{name}={value}" for name, value in search.items())
    lines = by_id(client.lines(client.export(_type="Slot", _typeFilter=f"Slot?{told}")))
    assert lines.keys() == {entry["resource"]["id"] for entry in found["entry"]}
    assert len(lines) > 1


def test_since_tells_what_changed_and_what_was_deleted(client: Client) -> None:
    def patient(**members: Any) -> dict[str, Any]:
        return {"resourceType": "Patient", **members}

    for ident in ("since-a", "since-b", "since-c"):
        client.http.put(f"{client.base}/Patient/{ident}", json=patient(id=ident)).raise_for_status()
    first = client.export(_type="Patient,Appointment")
    assert first["deleted"] == []
    client.http.put(f"{client.base}/Patient/since-b", json=patient(id="since-b", active=True)).raise_for_status()
    client.http.delete(f"{client.base}/Patient/since-c").raise_for_status()
    second = client.export(_type="Patient,Appointment", _since=first["transactionTime"])
    assert list(by_id(client.lines(second))) == ["since-b"]
    [bundle] = [orjson.loads(line) for line in client.lines(second, "deleted")]
    assert bundle == {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"request": {"method": "DELETE", "url": "Patient/since-c"}}],
    }
    third = client.export(_type="Patient", _since=second["transactionTime"])
    assert (third["output"], third["deleted"]) == ([], [])


def test_a_chain_of_exports_under_constant_writing_is_the_store(client: Client) -> None:
    """Creates, updates and deletes through the road; the union of all exports is what is stored, with no duplicate."""
    ended = threading.Event()
    failures: list[str] = []

    def write(writer: int) -> None:
        with httpx.Client(headers=client.http.headers, timeout=60) as http:
            for number in range(80):
                url = f"{client.base}/Patient/chain-{writer}-{number % 7}"
                body = {"resourceType": "Patient", "id": url.rpartition("/")[2], "active": bool(number % 2)}
                answer = http.delete(url) if number % 5 == 4 else http.put(url, json=body)
                if answer.status_code >= 300:
                    failures.append(answer.text)

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(3)]
    for writer in writers:
        writer.start()

    def watch() -> None:
        for writer in writers:
            writer.join()
        ended.set()

    threading.Thread(target=watch).start()
    known: dict[str, dict[str, Any]] = {}
    seen: set[tuple[str, str]] = set()
    since: dict[str, str] = {}
    rounds = 0
    while True:
        last = ended.is_set()
        manifest = client.export(_type="Patient", **since)
        for line in client.lines(manifest):
            resource = orjson.loads(line)
            version = (resource["id"], resource["meta"]["versionId"])
            assert version not in seen
            seen.add(version)
            known[resource["id"]] = resource
        for line in client.lines(manifest, "deleted"):
            for entry in orjson.loads(line)["entry"]:
                known.pop(entry["request"]["url"].removeprefix("Patient/"), None)
        since = {"_since": manifest["transactionTime"]}
        rounds += 1
        if last:
            break
    assert not failures
    assert rounds >= 2
    assert known == {ident: orjson.loads(raw) for ident, raw in all_of(client, "Patient").items()}


# A worker, and a service, that are killed.


def _fill(running: Running, count: int) -> None:
    """Store many resources, as a write stores them but for its checks."""
    from bench.growth import _slot  # what the bench fills its store with
    from store.codec import CODEC_OPTIONS, encode
    from store.documents import Rules, compose, past, stamped
    from store.types import TYPES

    uri, name = os.environ[URI], running.environment["ADAPTER_DATABASE"]
    moment = datetime.fromisoformat("2024-01-15T10:00:00+00:00")
    with MongoClient[dict[str, Any]](uri, tz_aware=True) as mongo:
        database = mongo.get_database(f"{name}_test", codec_options=CODEC_OPTIONS)
        for first in range(0, count, 5_000):
            made = [stamped(_slot(n), 1, moment) for n in range(first, min(first + 5_000, count))]
            database.Slot.insert_many(
                [compose(TYPES["Slot"], one, encode(one), moment, Rules()) for one in made], ordered=False
            )
            database.history.insert_many(
                [past("Slot", one["id"], 1, moment, "POST", encode(one)) for one in made], ordered=False
            )


def _worker_of(running: Running) -> list[int]:
    """The processes of exports below the service."""
    found = subprocess.run(["ps", "-e", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in found.splitlines()]
    return [int(pid) for pid, ppid, args in rows if int(ppid) == running.process.pid and "export.worker" in args]


def _until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.005)
    raise AssertionError("it did not happen")


def _files(client: Client, running: Running, location: str) -> int:
    with MongoClient[dict[str, Any]](os.environ[URI]) as mongo:
        name = f"{running.environment['ADAPTER_DATABASE']}_test"
        found = mongo[name].exports.find_one({"_id": location.rpartition("/")[2]})
        assert found is not None
        assert found["state"] == "open", "it ended before it could be killed"
        return len(found["files"])


def _end_lease(running: Running, location: str) -> None:
    """Let the 15 seconds pass after which another process takes what a killed one has left."""
    ended = datetime.fromisoformat("2024-01-15T10:00:00+00:00")
    with MongoClient[dict[str, Any]](os.environ[URI]) as mongo:
        exports = mongo[f"{running.environment['ADAPTER_DATABASE']}_test"].exports
        assert exports.update_one({"_id": location.rpartition("/")[2]}, {"$set": {"lease": ended}}).matched_count == 1


def test_an_export_that_is_killed_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    with databases() as database:
        _an_export_is_killed(tmp_path, database)


def _an_export_is_killed(tmp_path: Path, database: str) -> None:
    limits: dict[str, Any] = {"export_file_resources": str(max(BIG // 40, 100)), "demo": "false"}
    running = start(tmp_path, mongodb_uri=os.environ[URI], database=database, **limits)
    try:
        _fill(running, BIG)
        client = client_of(running)
        first = client.lines(whole := client.export(_type="Slot"))
        location = client.begin(_type="Slot")
        _until(lambda: _files(client, running, location) >= 5)
        [worker] = _worker_of(running)
        os.kill(worker, signal.SIGKILL)
        at_kill = _files(client, running, location)
        _until(lambda: _files(client, running, location) >= at_kill + 5)
        running.stop(signal.SIGKILL)
        if not LONG:
            _end_lease(running, location)
        port = int(running.base.rpartition(":")[2])
        running = start(
            tmp_path,
            port=port,
            mongodb_uri=os.environ[URI],
            database=database,
            bootstrap_key=running.key,
            **limits,
        )
        client.http.close()
        client = client_of(running)
        manifest = client.wait(location)
        second = client.lines(manifest)
        assert len(first) == BIG
        assert first == second
        assert len(manifest["output"]) == len(whole["output"])
        client.http.close()
    finally:
        running.stop()
