"""Pages of a search: one after the other, nothing twice and nothing left out (https://hl7.org/fhir/R4/http.html#paging)."""

from __future__ import annotations

import base64
import random
import zlib
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import orjson
import pytest

from adapter.fhir import call as calling
from tests.adapter.fhir.door import HOST, bundled, call, get, link, names, outcome
from tests.adapter.fhir.searching import UHIDS, found, pages, visits
from tests.adapter.mediloop.clinic import UHID
from tests.conftest import Api

__all__ = ["visits"]


class TestPages:
    @pytest.mark.parametrize("sort", ["", "&_sort=date", "&_sort=-date", "&_sort=status,-_id"])
    async def test_every_match_comes_once(self, api: Api, sort: str) -> None:
        whole = names(await found(api, f"Appointment?status=fulfilled{sort}"))
        shown = await pages(api, f"Appointment?status=fulfilled&_count=2{sort}")
        assert [len(page["entry"]) for page in shown] == [2, 2, 1]
        assert [name for page in shown for name in names(page)] == whole
        assert {page["total"] for page in shown} == {5}

    async def test_the_link_shows_nothing_of_what_was_searched_for(self, api: Api) -> None:
        for shown in (
            await found(api, f"Appointment?patient.identifier={UHIDS}|{UHID}&_count=2"),
            await found(api, "Appointment?patient=Patient/john&_count=2"),
        ):
            following = link(shown, "next")
            assert following is not None
            assert [name for name, _ in parse_qsl(urlsplit(following).query)] == ["_page"]
            assert UHID not in following
            assert "john" not in following

    async def test_the_form_of_the_answer_may_be_asked_for_with_it(self, api: Api) -> None:
        following = link(await found(api, "Appointment?_count=2"), "next")
        answer = await get(api, f"{following}&_pretty=true&_format=json")
        assert b"\n" in answer.content
        assert len(answer.json()["entry"]) == 2

    @pytest.mark.parametrize(
        "path",
        [
            "Appointment?_count=2",
            "OperationDefinition?_count=2",
            "_history?_count=2",
            "Patient/john/$everything?_count=2",
        ],
    )
    async def test_links_ask_for_the_form_that_was_asked_for(self, api: Api, path: str) -> None:
        """A client whose own Accept no server of JSON could answer follows them as they are."""
        xml = {"accept": "application/fhir+xml"}
        asked = f"{path}&_format=application/fhir%2Bjson&_pretty=true&_format=&_pretty="
        answer = await get(api, asked, **xml)
        first = answer.json()
        for relation in ("self", "next"):
            url = link(first, relation)
            assert url is not None
            assert parse_qsl(urlsplit(url).query)[-2:] == [("_format", "application/fhir+json"), ("_pretty", "true")]
            again = await get(api, url, **xml)
            assert again.status_code == 200
            assert b"\n" in again.content
        following = link(first, "next")
        assert following is not None
        assert parse_qsl(urlsplit(link((await get(api, following, **xml)).json(), "self") or "").query)[-2:] == [
            ("_format", "application/fhir+json"),
            ("_pretty", "true"),
        ]

    async def test_a_page_of_a_search_by_post_is_read_by_get(self, api: Api) -> None:
        first = bundled(await call(api, "POST", "Appointment/_search", data={"_count": "2", "patient": "john"}))
        following = link(first, "next")
        assert following is not None
        assert following.startswith(f"{HOST}/Appointment?_page=")
        assert names(await found(api, following)) == ["Appointment/a3", "Appointment/a4"]

    async def test_what_a_long_form_says_is_not_remembered(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        read: list[str] = []

        def noted(text: str, **how: Any) -> list[tuple[str, str]]:
            read.append(text)
            return parse_qsl(text, **how)

        monkeypatch.setattr(calling, "parse_qsl", noted)
        for _ in range(2):
            await call(api, "POST", "Appointment/_search", data={"_id": "a" * 1_000})
        assert len(read) == 2

    async def test_the_pages_of_a_search_by_post_that_no_address_could_hold(self, api: Api) -> None:
        asked = {"status": ",".join(["fulfilled", *(f"x{number}" * 30 for number in range(999))]), "_count": "3"}
        assert len(asked["status"]) > 65_536
        first = bundled(await call(api, "POST", "Appointment/_search", data=asked))
        following = link(first, "next")
        assert following is not None
        assert len((await found(api, following))["entry"]) == 2

    async def test_a_link_that_would_be_too_long_is_refused_with_the_page_before_it(self, api: Api) -> None:
        chance = random.Random(1)
        asked = {"status": ",".join(["fulfilled", *(chance.randbytes(900).hex() for _ in range(90))]), "_count": "3"}
        issue = outcome(await call(api, "POST", "Appointment/_search", data=asked), 400, "too-costly")
        assert "_count" in issue["diagnostics"]
        assert bundled(await call(api, "POST", "Appointment/_search", data=asked | {"_count": "5"}))["total"] == 5

    @pytest.mark.parametrize(
        "token",
        [
            "",
            "x",
            "AAAA",
            "%F0%9F%98%80",
            base64.urlsafe_b64encode(b"[]").decode(),
            base64.urlsafe_b64encode(zlib.compress(b"{")).decode(),
            base64.urlsafe_b64encode(zlib.compress(b"7")).decode(),
            base64.urlsafe_b64encode(zlib.compress(b'["Appointment",[["_cursor"]]]')).decode(),
            base64.urlsafe_b64encode(zlib.compress(b'["Appointment",[["_cursor","x"]]]')).decode(),
            base64.urlsafe_b64encode(zlib.compress(b'[["_cursor","x"]]')).decode(),
            base64.urlsafe_b64encode(zlib.compress(b"[" * 1_100_000)).decode(),
        ],
    )
    async def test_a_link_that_was_changed_is_400(self, api: Api, token: str) -> None:
        outcome(await get(api, f"Appointment?_page={token}"), 400, "invalid")

    @pytest.mark.parametrize(
        "path", ["Patient", "OperationDefinition", "_history", "Patient/_history", "Patient/john/$everything"]
    )
    async def test_the_link_self_tells_the_size_of_a_page_that_is_used(self, api: Api, path: str) -> None:
        answer = await get(api, f"{path}?_count=5000")
        assert link(answer.json(), "self") == f"{HOST}/{path}?_count=1000"

    @pytest.mark.parametrize("name", ["_count", "_id", "_elements", "nothing"])
    async def test_a_link_holds_no_more_parameters_than_a_search_may_have(self, api: Api, name: str) -> None:
        async def of(many: int) -> httpx.Response:
            held = orjson.dumps(("Appointment", [(name, "5")] * many))
            token = base64.urlsafe_b64encode(zlib.compress(held)).decode()
            return await get(api, f"Appointment?_page={token}")

        outcome(await of(1_003), 400, "invalid")
        assert (await of(1_000)).status_code == 200

    @pytest.mark.parametrize(
        ("path", "pair"), [("Appointment", "_elements=start"), ("Patient/john/$everything", "_type=Appointment")]
    )
    async def test_the_link_of_a_search_of_as_many_parameters_as_may_be_is_followed(
        self, api: Api, path: str, pair: str
    ) -> None:
        following = link((await get(api, f"{path}?{'&'.join([pair] * 999)}&_count=1")).json(), "next")
        assert following is not None
        assert (await get(api, following)).status_code == 200

    async def test_a_link_that_lost_its_end_is_400(self, api: Api) -> None:
        following = link(await found(api, "Appointment?_count=2"), "next")
        assert following is not None
        outcome(await get(api, following[:-8]), 400, "invalid")

    @pytest.mark.parametrize(
        ("path", "other"),
        [
            ("Appointment?_count=2", "Slot"),
            ("Patient/john/Appointment?_count=2", "Appointment"),
            ("?_type=Appointment&_count=2", "Appointment"),
            ("Appointment?_count=2", ""),
            ("OperationDefinition?_count=2", "SearchParameter"),
            ("Patient/john/$everything?_count=2", "Patient/$everything"),
        ],
    )
    async def test_a_link_that_is_of_another_search_is_400(self, api: Api, path: str, other: str) -> None:
        following = link((await get(api, path)).json(), "next")
        assert following is not None
        assert (await get(api, following)).status_code == 200
        issue = outcome(await get(api, f"{other}?{urlsplit(following).query}"), 400, "invalid")
        assert "page link was changed" in issue["diagnostics"]

    @pytest.mark.parametrize("path", ["Appointment", "Patient/john/$everything"])
    async def test_a_link_of_another_release_may_be_told_from_one_that_was_changed(self, api: Api, path: str) -> None:
        earlier = base64.urlsafe_b64encode(zlib.compress(b'[["_count","2"]]')).decode()  # which held no path
        issue = outcome(await get(api, f"{path}?_page={earlier}"), 400, "invalid")
        assert "changed, or is of another release" in issue["diagnostics"]

    @pytest.mark.parametrize("path", ["Appointment", "OperationDefinition", "Patient/john/$everything"])
    async def test_what_stands_beside_a_link_does_not_count_and_that_is_told(self, api: Api, path: str) -> None:
        following = link((await get(api, f"{path}?_count=2")).json(), "next")
        assert following is not None
        added = f"{following}&_count=1&_sort="
        strict = outcome(await get(api, added, prefer="handling=strict"), 400, "not-supported")
        assert (strict["location"], "beside" in strict["diagnostics"]) == (["http._count"], True)
        if "$" not in path:  # which takes nothing that it does not know
            shown = (await get(api, added)).json()
            assert shown["entry"][:-1] == (await get(api, following)).json()["entry"]
            assert [one["diagnostics"] for one in shown["entry"][-1]["resource"]["issue"]] == [strict["diagnostics"]]

    async def test_a_link_to_another_order_is_400(self, api: Api) -> None:
        following = link(await found(api, "Appointment?_count=2&_sort=status,date"), "next")
        assert following is not None
        packed = parse_qsl(urlsplit(following).query)[0][1]
        inside = orjson.loads(zlib.decompress(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4))))
        changed = [inside[0], [pair for pair in inside[1] if pair[0] != "_sort"]]
        token = base64.urlsafe_b64encode(zlib.compress(orjson.dumps(changed))).decode()
        outcome(await get(api, f"Appointment?_page={token}"), 400, "invalid")
