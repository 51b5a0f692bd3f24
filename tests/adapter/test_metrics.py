"""Figures for Prometheus."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CONTENT_TYPE_LATEST
from prometheus_client.parser import text_string_to_metric_families
from pymongo import monitoring

from adapter import metrics
from store.store import Store
from tests.adapter.mediloop.clinic import PATH, UHID, action_path, booking, open_clinic
from tests.conftest import Api, ApiMaker, ServiceMaker

Figures = dict[str, float]


async def _figures(api: Api) -> Figures:
    answer = await api.http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == CONTENT_TYPE_LATEST
    families = text_string_to_metric_families(answer.text)
    return {_name(sample): sample.value for family in families for sample in family.samples}


def _name(sample: Any) -> str:
    labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
    return f"{sample.name}{{{labels}}}"


async def _grown(api: Api, before: Figures) -> Figures:
    after = await _figures(api)
    return {name: value - before.get(name, 0) for name, value in after.items() if value != before.get(name, 0)}


async def test_requests_are_counted_by_method_route_and_status(api: Api) -> None:
    before = await _figures(api)
    await api.get(PATH)
    await api.get(PATH.rstrip("/"))
    await api.get(f"{PATH}{UHID}/")
    await api.post(PATH, {})
    await api.http.request("BREW", "/nothing/at/all")
    grown = await _grown(api, before)
    name = "mediloop_requests_total"
    assert grown[f"{name}{{method=GET,route={PATH},status=200}}"] == 2
    assert grown[f"{name}{{method=GET,route={PATH}{{id}}/,status=404}}"] == 1
    assert grown[f"{name}{{method=POST,route={PATH},status=400}}"] == 1
    assert grown[f"{name}{{method=other,route=unmatched,status=404}}"] == 1
    assert grown[f"mediloop_request_seconds_count{{method=GET,route={PATH}}}"] == 2


async def test_what_is_refused_before_it_is_routed_counts_for_the_route_it_was_for(
    make_service: ServiceMaker, make_api: ApiMaker
) -> None:
    api = await make_api(make_service(rate_limit_test=1))
    await api.get(PATH)
    before = await _figures(api)
    await api.get(f"{PATH}{UHID}/")
    await api.http.request("BREW", PATH, headers={"Authorization": f"Bearer {api.key}"})
    await api.get("/fhir/R4/Slot")
    await api.get("/fhir/nothing")
    grown = await _grown(api, before)
    refused = {name for name in grown if name.startswith("mediloop_requests_total") and "status=429" in name}
    assert refused == {
        f"mediloop_requests_total{{method={method},route={route},status=429}}"
        for method, route in (
            ("GET", f"{PATH}{{id}}/"),
            ("other", PATH),
            ("GET", "/fhir/R4/{type}"),
            ("GET", "unmatched"),
        )
    }


async def test_bookings_and_reschedules_are_counted_by_outcome(api: Api, store: Store) -> None:
    await open_clinic(store)
    before = await _figures(api)
    headers = {"X-Idempotency-Key": "k"}
    made = (await api.post(PATH, booking(), headers=headers)).json()
    await api.post(PATH, booking(), headers=headers)  # a replay books nothing
    await api.post(PATH, booking())
    await api.post(PATH, booking(practitioner_id="nobody"))
    await api.post(PATH, booking(slot_id="nothing"))
    await api.post(PATH, booking(start_time="2024-02-01T10:00:00Z", end_time="2024-01-01T10:00:00Z"))
    await api.post(action_path(made["id"], "reschedule"), {"new_start_time": "2024-01-20T09:00:00Z"})
    await api.post(action_path(made["id"], "cancel"), {"cancellation_reason_code": "x"})
    await api.post(action_path(made["id"], "reschedule"), {"new_start_time": "2024-01-20T09:00:00Z"})
    grown = await _grown(api, before)
    counted = {
        re.sub(r".*outcome=(\w+)}", r"\1", name): value
        for name, value in grown.items()
        if name.startswith("mediloop_bookings_total")
    }
    assert counted == {
        "accepted": 2,
        "slot_unavailable": 1,
        "unknown_practitioner": 1,
        "unknown_slot": 1,
        "invalid_time": 1,
        "invalid_status_transition": 1,
    }


async def test_no_label_holds_what_a_client_has_sent(api: Api) -> None:
    await api.get(f"{PATH}{UHID}/?x=secret")
    await api.get(f"/secret/{UHID}")
    text = (await api.http.get("/metrics")).text
    assert UHID not in text
    assert "secret" not in text


async def test_connections_to_mongodb_are_counted(api: Api) -> None:
    pool = "mediloop_mongodb_pool_connections"
    things = api.service.stores["test"].database.things
    await things.insert_one({})
    before = await _figures(api)
    assert before[f"{pool}{{state=open}}"] >= 1
    asked = asyncio.create_task(things.find_one({"$where": "sleep(500) || true"}))
    async with asyncio.timeout(10):
        while f"{pool}{{state=in_use}}" not in (grown := await _grown(api, before)):
            await asyncio.sleep(0.01)
    assert grown[f"{pool}{{state=in_use}}"] == 1
    await asked
    assert f"{pool}{{state=in_use}}" not in await _grown(api, before)


def test_a_connection_that_cannot_be_had_is_counted() -> None:
    failed = metrics.POOL_WAITS._value.get()
    event = monitoring.ConnectionCheckOutFailedEvent(("localhost", 1), "timeout", 0.1)
    metrics.PoolWatch().connection_check_out_failed(event)
    assert metrics.POOL_WAITS._value.get() == failed + 1


def test_with_several_workers_the_figures_of_all_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    told = "from adapter import metrics; metrics.answered('GET', '/', 200, 1)"
    for worker in [subprocess.Popen([sys.executable, "-c", told]) for _ in range(2)]:
        assert worker.wait(30) == 0
    body, media_type = metrics.exposition()
    assert b'mediloop_requests_total{method="GET",route="/",status="200"} 2.0' in body
    assert media_type == CONTENT_TYPE_LATEST


def test_the_connections_of_a_worker_that_is_gone_are_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    told = "from adapter import metrics; metrics._OPEN.inc(); metrics.answered('GET', '/', 200, 1); input()"
    with subprocess.Popen([sys.executable, "-c", told], stdin=subprocess.PIPE) as worker:
        deadline = time.monotonic() + 30
        while b"mediloop_requests_total" not in metrics.exposition()[0]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert b'mediloop_mongodb_pool_connections{state="open"} 1.0' in metrics.exposition()[0]
        worker.kill()
    left = metrics.exposition()[0]
    assert b"mediloop_mongodb_pool_connections" not in left
    assert b"mediloop_requests_total" in left


def test_workers_that_are_started_again_and_again_leave_no_more_files_and_no_figure_falls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    told = (
        "import os, signal; from adapter import metrics; metrics._OPEN.inc(); metrics.answered('GET', '/', 200, 1); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    left = []
    for times in (1, 2, 3):
        assert subprocess.run([sys.executable, "-c", told], timeout=30, check=False).returncode == -signal.SIGKILL
        body, _ = metrics.exposition()
        assert f'mediloop_requests_total{{method="GET",route="/",status="200"}} {times}.0'.encode() in body
        assert f'mediloop_request_seconds_count{{method="GET",route="/"}} {times}.0'.encode() in body
        assert b"mediloop_mongodb_pool_connections{" not in body
        left.append(len([*tmp_path.iterdir()]))
    assert left[0] == left[-1]
