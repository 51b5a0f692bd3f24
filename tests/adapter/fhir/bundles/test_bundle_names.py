"""What entries of a transaction are called by the others: by a fullUrl of whatever kind, whatever they do."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.adapter.fhir.bundles.sending import (
    BASE,
    ROOT,
    bundle,
    count,
    done,
    entry,
    ident,
    identified,
    issues,
    person,
    send,
    statuses,
    stored,
    urn,
)
from tests.adapter.mediloop.clinic import appointment, practitioner, slot
from tests.conftest import Api

Json = dict[str, Any]
FOREIGN = "http://f.example/fhir"


def link(reference: str) -> list[Json]:
    return [{"other": {"reference": reference}, "type": "seealso"}]


async def linked(api: Api, ident: str) -> str:
    """Return to whom a Patient is linked."""
    found: str = (await stored(api, f"Patient/{ident}"))["link"][0]["other"]["reference"]
    return found


def patch(value: Any = True, path: str = "/active") -> Json:
    data = base64.b64encode(json.dumps([{"op": "add", "path": path, "value": value}]).encode()).decode()
    return {"resourceType": "Binary", "id": "p", "contentType": "application/json-patch+json", "data": data}


@pytest.mark.parametrize("root", [FOREIGN, "http://localhost:8123/fhir/R4"])
async def test_updates_are_known_by_the_addresses_that_they_come_from(api: Api, root: str) -> None:
    """https://hl7.org/fhir/R4/bundle.html#references: what has the fullUrl is meant, wherever it was once."""
    plan = {"resourceType": "Schedule", "id": "s", "actor": [{"reference": f"{root}/Practitioner/p"}]}
    time = slot("t", "2024-01-20T10:00", "2024-01-20T10:30") | {"schedule": {"reference": f"{root}/Schedule/s"}}
    who = [{"actor": {"reference": f"{root}/Practitioner/p"}, "status": "accepted"}]
    visit = appointment("a", participant=who, slot=[{"reference": f"{root}/Slot/t"}])
    visit |= {"start": "2024-01-20T10:00:00Z", "end": "2024-01-20T10:30:00Z"}
    resources = [visit, time, plan, practitioner("p", "Okello")]
    entries = [entry("PUT", name, one, f"{root}/{name}") for one in resources for name in [_name(one)]]
    assert statuses(await done(api, bundle("transaction", *entries))) == ["201"] * 4
    assert (await stored(api, "Schedule/s"))["actor"] == [{"reference": "Practitioner/p"}]
    assert (await stored(api, "Slot/t"))["schedule"] == {"reference": "Schedule/s"}
    assert (await stored(api, "Slot/t"))["status"] == "busy"
    made = await stored(api, "Appointment/a")
    assert made["slot"] == [{"reference": "Slot/t"}]
    assert made["participant"][0]["actor"] == {"reference": "Practitioner/p"}


def _name(resource: Json) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


async def test_the_address_that_an_update_comes_from_stands_for_it_everywhere(api: Api) -> None:
    where = f"{FOREIGN}/Patient/q"
    div = '<div xmlns="http://www.w3.org/1999/xhtml"><a href="{}">q</a></div>'
    inner = {"resourceType": "RelatedPerson", "id": "r", "patient": {"reference": where}}
    asked = person(
        id="a",
        link=[*link(where), *link(f"{where}x"), {"other": {"reference": "#r"}, "type": "seealso"}],
        contained=[inner],
        text={"status": "additional", "div": div.format(where)},
        extension=[{"url": "urn:e", "valueUri": where}],
        photo=[{"title": where}],
    )
    await done(
        api,
        bundle("transaction", entry("PUT", "Patient/a", asked), entry("PUT", "Patient/q", person(id="q"), where)),
    )
    found = await stored(api, "Patient/a")
    assert [one["other"]["reference"] for one in found["link"]] == ["Patient/q", f"{where}x", "#r"]
    assert found["contained"][0]["patient"]["reference"] == "Patient/q"
    assert found["text"]["div"] == div.format("Patient/q")
    assert found["extension"][0]["valueUri"] == "Patient/q"
    assert found["photo"] == [{"title": where}]


async def test_an_address_that_an_update_keeps_is_left_as_it_is(api: Api, monkeypatch: Any) -> None:
    settings = type(api.service.settings)
    monkeypatch.setattr(settings, "fhir_bases", property(lambda _: ("https://public.example/fhir/R4",)))
    for root in (ROOT, ROOT.replace("http:", "https:"), "https://public.example/fhir/R4"):
        for reference in (f"{root}/Patient/b", f"{root}/Patient/b/_history/1", "Patient/b/_history/1"):
            a, b = person(id="a", link=link(reference)), person(id="b")
            entries = (entry("PUT", f"Patient/{one['id']}", one, f"{root}/Patient/{one['id']}") for one in (a, b))
            await done(api, bundle("transaction", *entries))
            assert await linked(api, "a") == reference


async def test_an_update_does_not_come_by_the_address_of_another(api: Api) -> None:
    """Whoever named that address would mean this entry, and no longer the resource that is there."""
    asked = person(id="a", link=link("Patient/c"))
    change = entry("PUT", "Patient/b", person(id="b"), f"{ROOT}/Patient/c")
    answer = await send(api, bundle("transaction", entry("PUT", "Patient/a", asked), change))
    assert issues(answer, 400) == [("value", "Bundle.entry[1].fullUrl")]


@pytest.mark.parametrize("full", [urn(1), f"{FOREIGN}/Patient/b"])
@pytest.mark.parametrize("patched", [False, True])
async def test_a_version_of_what_is_updated_is_the_one_that_is_left(api: Api, full: str, patched: bool) -> None:
    change = entry("PATCH", "Patient/b", patch(), full) if patched else entry("PUT", "Patient/b", person(id="b"), full)
    for version in (1, 2):
        await api.put(f"{BASE}/Patient/b", person(id="b", active=False))
        asked = person(id="a", link=link(f"{full}/_history/7"))
        await done(api, bundle("transaction", entry("PUT", "Patient/a", asked), change))
        assert await linked(api, "a") == f"Patient/b/_history/{2 * version}"
        assert (await stored(api, "Patient/b"))["meta"]["versionId"] == str(2 * version)


async def test_a_version_that_is_stored_is_meant_beside_one_that_the_transaction_leaves(api: Api) -> None:
    change = entry("PUT", "Patient/b", person(id="b"), urn(1))
    await done(api, bundle("transaction", change))
    asked = person(id="a", link=[*link("Patient/b/_history/1"), *link(f"{urn(1)}/_history/7")])
    await done(api, bundle("transaction", entry("PUT", "Patient/a", asked), change))
    made = await stored(api, "Patient/a")
    assert [one["other"]["reference"] for one in made["link"]] == ["Patient/b/_history/1", "Patient/b/_history/2"]


@pytest.mark.parametrize("url", ["Patient/b", "Patient?identifier=urn:mrn|1"])
async def test_a_version_of_what_is_brought_back_is_the_one_that_is_left(api: Api, url: str) -> None:
    await api.put(f"{BASE}/Patient/b", identified("1", id="b"))
    await api.delete(f"{BASE}/Patient/b")
    made = entry("PUT", url, identified("1", id="b"), urn(1))
    asked = person(id="a", link=link(f"{urn(1)}/_history/1"))
    await done(api, bundle("transaction", entry("PUT", "Patient/a", asked), made))
    assert await linked(api, "a") == "Patient/b/_history/3"


@pytest.mark.parametrize("url", ["Patient/b", "Patient?identifier=urn:mrn|1"])
@pytest.mark.parametrize("full", [urn(1), "urn:oid:1.2.3", f"{FOREIGN}/Patient/b"])
async def test_what_a_patch_changes_is_known_by_its_full_url(api: Api, url: str, full: str) -> None:
    await done(api, bundle("transaction", entry("PUT", "Patient/b", identified("1", id="b"))))
    found = await done(
        api,
        bundle(
            "transaction",
            entry("POST", "Patient", person(link=link(full))),
            entry("PATCH", url, patch(), full),
            entry("POST", "Patient", person(link=link("Patient?identifier=urn:mrn|1"))),
            entry("POST", "Patient", person(link=link(f"{full}/_history/1"))),
        ),
    )
    assert statuses(found) == ["201", "200", "201", "201"]
    assert [await linked(api, ident(found[place])) for place in (0, 2, 3)] == [
        "Patient/b",
        "Patient/b",
        "Patient/b/_history/2",
    ]
    assert (await stored(api, "Patient/b"))["active"] is True


async def test_patches_may_name_each_other(api: Api) -> None:
    await done(api, bundle("transaction", *(entry("PUT", f"Patient/{n}", identified(n, id=n)) for n in "ab")))
    await done(
        api,
        bundle(
            "transaction",
            entry("PATCH", "Patient/a", patch(link(urn(2)), "/link"), urn(1)),
            entry("PATCH", "Patient?identifier=urn:mrn|b", patch(link(urn(1)), "/link"), urn(2)),
        ),
    )
    assert [await linked(api, n) for n in "ab"] == ["Patient/b", "Patient/a"]


async def test_a_patch_that_finds_nobody_is_refused_whatever_it_is_called(api: Api) -> None:
    asked = entry("POST", "Patient", person(link=link(urn(1))))
    answer = await send(api, bundle("transaction", asked, entry("PATCH", "Patient?identifier=x", patch(), urn(1))))
    assert issues(answer, 404) == [("not-found", "Bundle.entry[1]")]


async def test_a_full_url_that_begins_with_a_hash_names_no_entry(api: Api) -> None:
    """Whoever says ``#p`` means what is contained in themselves, and was linked to another entry instead."""
    inner = {"resourceType": "RelatedPerson", "id": "p", "patient": {"reference": "#"}}
    asked = person(id="a", link=link("#p"), contained=[inner])
    await done(api, bundle("transaction", entry("PUT", "Patient/a", asked), entry("POST", "Patient", person(), "#p")))
    assert await linked(api, "a") == "#p"


@pytest.mark.parametrize("full", [urn(1), urn(1).upper()])
@pytest.mark.parametrize(
    ("method", "url", "other"),
    [
        ("POST", "Patient", person()),
        ("PUT", "Patient/b", person(id="b")),
        ("PATCH", "Patient?identifier=urn:mrn|1", patch()),
    ],
)
async def test_two_versions_of_one_full_url_are_not_written(
    api: Api, full: str, method: str, url: str, other: Json
) -> None:
    """As versions of one resource they may share it (bdl-7); as two resources either could be meant."""
    asked = entry("POST", "Patient", person(link=link(urn(1))))
    first = entry("POST", "Patient", person(meta={"versionId": "1"}), urn(1))
    second = entry(method, url, other | {"meta": {"versionId": "2"}}, full)
    answer = await send(api, bundle("transaction", asked, second, first))
    assert issues(answer, 400) == [("duplicate", "Bundle.entry[2].fullUrl")]


@pytest.mark.parametrize("own", [ROOT, ROOT.replace("http:", "https:")])
@pytest.mark.parametrize(
    ("method", "url", "other", "request_"),
    [
        ("POST", "Patient", person(), {}),
        ("POST", "Patient", person(), {"ifNoneExist": "identifier=urn:mrn|1"}),
        ("POST", "Patient", person(), {"ifNoneExist": "identifier=urn:mrn|2"}),
        ("PUT", "Patient?identifier=urn:mrn|1", person(), {}),
        ("PUT", "Patient?identifier=urn:mrn|2", person(), {}),
        ("PATCH", "Patient?identifier=urn:mrn|1", patch(), {}),
    ],
)
async def test_our_own_address_of_a_resource_that_is_stored_names_no_other(
    api: Api, own: str, method: str, url: str, other: Json, request_: dict[str, str]
) -> None:
    """Who meant the one that is there, by ``Patient/c`` even, was linked to another."""
    await api.put(f"{BASE}/Patient/b", identified("1", id="b"))
    await api.put(f"{BASE}/Patient/c", person(id="c"))
    asked = entry("POST", "Patient", person(link=link("Patient/c")), urn(1))
    change = entry(method, url, other, f"{own}/Patient/c", **request_)
    answer = await send(api, bundle("transaction", asked, change))
    assert issues(answer, 400) == [("value", "Bundle.entry[1].fullUrl")]
    assert await count(api, "Patient") == 2


async def test_our_own_address_of_a_resource_that_another_entry_writes_names_no_other(api: Api) -> None:
    asked = entry("POST", "Patient", person(link=link("Patient/c")), urn(1))
    change, made = entry("POST", "Patient", person(), f"{ROOT}/Patient/c"), entry("PUT", "Patient/c", person(id="c"))
    answer = await send(api, bundle("transaction", asked, change, made))
    assert issues(answer, 400) == [("value", "Bundle.entry[1].fullUrl")]


@pytest.mark.parametrize("deleted", [False, True])
async def test_our_own_address_of_what_is_not_there_names_the_entry_that_has_it(api: Api, deleted: bool) -> None:
    """What it was copied from has gone, or goes in the same transaction: nobody else can be meant."""
    gone = [entry("DELETE", "Patient/c")] if deleted else []
    if deleted:
        await api.put(f"{BASE}/Patient/c", person(id="c"))
    asked = entry("PUT", "Patient/a", person(id="a", link=link("Patient/c")))
    change = entry("POST", "Patient", person(), f"{ROOT}/Patient/c")
    [made, *_] = await done(api, bundle("transaction", change, asked, *gone))
    assert await linked(api, "a") == f"Patient/{ident(made)}"


async def test_our_own_address_of_what_criteria_lead_to_is_its_own(api: Api) -> None:
    await api.put(f"{BASE}/Patient/b", identified("1", id="b"))
    asked = entry("PUT", "Patient/a", person(id="a", link=link("Patient/b")))
    change = entry("PUT", "Patient?identifier=urn:mrn|1", identified("1"), f"{ROOT}/Patient/b")
    await done(api, bundle("transaction", asked, change))
    assert await linked(api, "a") == "Patient/b"


async def test_two_entries_do_not_share_our_own_address_by_http_and_https(api: Api) -> None:
    asked = entry("POST", "Patient", person(link=link("Patient/c")))
    two = [entry("POST", "Patient", person(), f"{root}/Patient/c") for root in (ROOT, ROOT.replace("http:", "https:"))]
    answer = await send(api, bundle("transaction", asked, *two))
    assert issues(answer, 400) == [("duplicate", "Bundle.entry[2].fullUrl")]


@pytest.mark.parametrize("books", [True, False])
async def test_a_version_of_what_was_found_is_the_one_that_a_booking_leaves(api: Api, books: bool) -> None:
    plan = {"resourceType": "Schedule", "id": "s", "actor": [{"reference": "Practitioner/p"}]}
    time = slot("t", "2024-01-20T10:00", "2024-01-20T10:30") | {"schedule": {"reference": "Schedule/s"}}
    time["identifier"] = [{"system": "urn:mrn", "value": "t"}]
    ours = [practitioner("p", "Okello"), plan, time]
    await done(api, bundle("transaction", *(entry("PUT", _name(one), one) for one in ours)))
    again = {name: value for name, value in time.items() if name != "id"}
    who = [{"actor": {"reference": "Practitioner/p"}, "status": "accepted"}]
    visit = appointment("a", participant=who, supportingInformation=[{"reference": f"{urn(1)}/_history/7"}])
    visit |= {"start": "2024-01-20T10:00:00Z", "end": "2024-01-20T10:30:00Z"}
    visit |= {"slot": [{"reference": f"{urn(1)}/_history/7"}]} if books else {"status": "cancelled"}
    found = entry("POST", "Slot", again, urn(1), ifNoneExist="identifier=urn:mrn|t")
    await done(api, bundle("transaction", found, entry("PUT", "Appointment/a", visit)))
    last = (await stored(api, "Slot/t"))["meta"]["versionId"]
    assert last == ("2" if books else "1")
    made = await stored(api, "Appointment/a")
    assert made["supportingInformation"] == [{"reference": f"Slot/t/_history/{last}"}]
    if books:
        assert made["slot"] == [{"reference": f"Slot/t/_history/{last}"}]


@pytest.mark.parametrize("beside", [True, False])
async def test_in_an_entry_of_another_server_type_and_id_are_of_its_bundle_or_ours(api: Api, beside: bool) -> None:
    await done(api, bundle("transaction", entry("PUT", "Patient/5", identified("5", id="5"))))
    asked = entry("POST", "Patient", person(link=link("Patient/5")), f"{FOREIGN}/Patient/1")
    others = [entry("POST", "Patient", person(), f"{FOREIGN}/Patient/5")] if beside else []
    made = await done(api, bundle("transaction", asked, *others))
    assert await linked(api, ident(made[0])) == (f"Patient/{ident(made[1])}" if beside else "Patient/5")
