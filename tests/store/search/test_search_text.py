"""Strings, URIs and places, against a real MongoDB."""

from __future__ import annotations

import pytest

from store.search import SearchRefused, parse
from store.store import Store
from tests.store.search.support import found, put, reading, refusal, resource


async def _people(store: Store) -> None:
    await put(
        store,
        resource("Patient", "1", name=[{"family": "Nakató", "given": ["Mary  Ann", "Grace"]}]),
        resource("Patient", "2", name=[{"text": "John Nakato (senior)"}], address=[{"city": "Kampala", "line": ["A"]}]),
        resource("Patient", "3", name=[{"family": "Okello, jr", "prefix": ["Dr."]}]),
        resource("Patient", "4"),
    )


async def test_a_text_begins_with_what_is_searched_whatever_case_and_accents(store: Store) -> None:
    await _people(store)
    assert await found(store, "Patient", "name=NAKATO") == {"1", "2"}
    assert await found(store, "Patient", "family=naká") == {"1"}
    assert await found(store, "Patient", "given=mary a,x") == {"1"}
    assert await found(store, "Patient", "name=john&name=john nak") == {"2"}
    assert await found(store, "Patient", r"name=okello\, jr") == {"3"}
    assert await found(store, "Patient", "name=okello, x") == {"3"}  # two values, of which the second matches none
    assert await found(store, "Patient", "name=dr.") == {"3"}
    assert await found(store, "Patient", "name=n.kato") == set()
    assert await found(store, "Patient", "address=kamp&address-city=KAMPALA") == {"2"}


@pytest.mark.parametrize(
    "name", ["name", "name:contains", "general-practitioner:Practitioner.address", "identifier:text"]
)
def test_a_text_that_grows_too_long_for_a_pattern_is_refused(name: str) -> None:
    """One letter of it is eighteen when it is folded: MongoDB took no pattern of so many."""
    [problem] = refusal("Patient", f"{name}=" + "\ufdfa" * 2_000)
    assert problem.code == "value"
    assert "too long" in problem.text


async def test_the_longest_text_that_grows_not_is_looked_for(store: Store) -> None:
    await put(store, resource("Patient", "1", name=[{"family": "\U0001d7d8" * 2_048}, {"family": "." * 2_048}]))
    assert await found(store, "Patient", f"name={'.' * 2_048}&name:contains={'.' * 2_048}") == {"1"}
    assert await found(store, "Patient", "name=" + "\U0001f600" * 2_048) == set()


async def test_a_name_is_found_without_its_punctuation_and_by_its_later_words(store: Store) -> None:
    await put(
        store,
        resource("Patient", "1", name=[{"family": "Carreño Quiñones", "given": ["Anne-Marie"]}]),
        resource("Patient", "2", name=[{"family": "O'Neil"}]),
        resource("Patient", "3", name=[{"family": "O’Brien-Smith"}]),
        resource("Patient", "4", name=[{"text": "Dr. Sarah Nakamya"}]),
        resource("Patient", "5", name=[{"family": "山田", "given": ["ジャン・ポール"]}]),
        resource("Patient", "6", name=[{"family": "-"}], address=[{"city": "Fort-Portal", "text": "O'Neil"}]),
    )
    for text, who in {
        "family=Quinones": "1",
        "name=quinones": "1",
        "name=carreno-quinones": "1",
        "name=anne marie": "1",
        "name=annemarie": "1",
        "name=Anne-Marie": "1",
        "given=marie": "1",
        "name=oneil": "2",
        "family=o neil": "2",
        "family=O’Neil": "2",
        "name=o.n": "2",
        "name=obrien": "3",
        "name=o'brien smith": "3",
        "name=smith": "3",
        "name=o'": "2 3",
        "name=nakamya": "4",
        "name=dr sarah": "4",
        "name=sarah n": "4",
        "name=ポール": "5",
        "name=ジャンポール": "5",
        "name=-": "6",
        "name=.": "",
        "name=neil": "",
        "name=quinones carreno": "",
        "name=-,oneil": "2 6",
        "name=smith&name=obr": "3",
        "address-city=fortportal": "",
        "address=oneil": "",
    }.items():
        assert await found(store, "Patient", text) == set(who.split()), text


async def test_contains_passes_over_punctuation_and_exact_does_not(store: Store) -> None:
    await put(
        store,
        resource("Patient", "1", name=[{"family": "O'Neil-Smith"}]),
        resource("Patient", "2", name=[{"family": "Oneil"}]),
    )
    assert await found(store, "Patient", "name:contains='neil") == {"1", "2"}
    assert await found(store, "Patient", "name:contains=l-s") == {"1"}
    assert await found(store, "Patient", "name:contains=neil smi") == {"1"}
    assert await found(store, "Patient", "name:contains=-") == {"1"}
    assert await found(store, "Patient", "name:exact=ONeil,O'Neil,smith") == set()
    assert await found(store, "Patient", "name:exact=O'Neil-Smith") == {"1"}


async def test_what_an_earlier_release_has_filed_is_found_as_it_was(store: Store) -> None:
    await put(store, resource("Patient", "1", name=[{"family": "O'Brien-Smith", "prefix": ["Dr."]}]))
    filed = {"_index.name": ["o'brien-smith", "dr."], "_index.family": ["o'brien-smith"]}
    await store.database["Patient"].update_one({"_id": "1"}, {"$set": filed})
    for text in ("name=O'Brien-Smith", "name=o'br", "family=o'brien-s", "name=dr.", "name:contains=n-sm"):
        assert await found(store, "Patient", text) == {"1"}, text
    assert await found(store, "Patient", "name=smith") == set()


async def test_contains_exact_and_missing(store: Store) -> None:
    await _people(store)
    assert await found(store, "Patient", "name:contains=KATO") == {"1", "2"}
    assert await found(store, "Patient", "name:contains=(sen,jr") == {"2", "3"}
    assert await found(store, "Patient", "name:exact=Nakató") == {"1"}
    assert await found(store, "Patient", "name:exact=nakató,Grace") == {"1"}
    assert await found(store, "Patient", "name:exact=Naka") == set()
    assert await found(store, "Patient", "name:exact=%20Nakató") == set()
    assert await found(store, "Patient", "name:missing=true") == {"4"}


async def test_names_that_sound_alike(store: Store) -> None:
    await put(store, resource("Patient", "1", name=[{"family": "Smith", "given": ["Jon"]}]))
    assert await found(store, "Patient", "phonetic=smyth") == {"1"}
    assert await found(store, "Patient", "phonetic=john smyth") == {"1"}
    assert await found(store, "Patient", "phonetic=john miller,smithe") == {"1"}
    assert await found(store, "Patient", "phonetic=john miller") == set()
    assert "no word" in refusal("Patient", "phonetic=%20")[0].text
    assert "missing" in refusal("Patient", "phonetic:exact=a")[0].text


async def test_uris(store: Store) -> None:
    for ident, profile in {
        "a": "http://x/fhir/p",
        "b": "http://x/fhir/p/q",
        "c": "http://x/fhirp",
        "d": "urn:x",
        "e": "urn:p|1",
        "f": "urn:p|2",
        "g": "http://x/fhir/",
        "h": "http://x",
    }.items():
        await put(store, resource("Patient", ident, meta={"profile": [profile], "source": profile}))
    assert await found(store, "Patient", "_profile=http://x/fhir/p") == {"a"}
    assert await found(store, "Patient", "_source=http://x/fhir/p,urn:x") == {"a", "d"}
    assert await found(store, "Patient", "_profile:below=http://x/fhir") == {"a", "b", "g"}
    assert await found(store, "Patient", "_profile:below=http://x/fhir/p") == {"a", "b"}
    assert await found(store, "Patient", "_profile:above=http://x/fhir/p/q/r") == {"a", "b", "g", "h"}
    assert await found(store, "Patient", "_source:above=http://x/fhir/p") == {"a", "g", "h"}
    assert await found(store, "Patient", "_source:above=urn:x") == {"d"}
    assert await found(store, "Patient", "_source:missing=true") == set()
    assert await found(store, "Patient", "_profile=urn:p") == {"e", "f"}
    assert await found(store, "Patient", "_profile=urn:p|2") == {"f"}
    assert await found(store, "Patient", "_profile=urn:p|3") == set()
    assert await found(store, "Patient", "_profile:below=urn:p") == {"e", "f"}
    assert await found(store, "Patient", "_profile:below=urn:p|2") == {"f"}
    assert await found(store, "Patient", "_profile:above=urn:p/q") == {"e", "f"}
    assert refusal("Patient", "_profile:contains=x")[0].code == "not-supported"


async def test_versions_of_a_profile_lie_below_the_beginning_of_their_number(store: Store) -> None:
    for ident, profile in {"a": "urn:p|1", "b": "urn:p|1.0", "c": "urn:p|1.1.3", "d": "urn:p|10", "e": "urn:p"}.items():
        await put(store, resource("Patient", ident, meta={"profile": [profile], "source": profile}))
    assert await found(store, "Patient", "_profile:below=urn:p|1") == {"a", "b", "c"}
    assert await found(store, "Patient", "_profile:below=urn:p|1.1,urn:p|10") == {"c", "d"}
    assert await found(store, "Patient", "_profile=urn:p|1") == {"a"}
    assert await found(store, "Patient", "_source:below=urn:p|1") == {"a"}


async def test_places_near_another(store: Store) -> None:
    await put(
        store,
        resource("Location", "kampala", position={"longitude": 32.5825, "latitude": 0.3476}),
        resource("Location", "entebbe", position={"longitude": 32.4435, "latitude": 0.0512}),
        resource("Location", "nowhere"),
    )
    assert await found(store, "Location", "near=0.3476|32.5825|10|km") == {"kampala"}
    assert await found(store, "Location", "near=0.3476|32.5825") == {"kampala", "entebbe"}
    assert await found(store, "Location", "near=0.3476|32.5825|10000|m,0.05|32.44|5|km") == {"kampala", "entebbe"}
    assert await found(store, "Location", "near=0.3476|32.5825|100|[mi_us]&near=0|0|1") == set()
    assert await found(store, "Location", "near=0|0|999999999") == {"kampala", "entebbe"}
    assert await found(store, "Location", "near=90|180|0,-90|-180|0") == set(), "the ends of the world are places"
    assert await found(store, "Location", "near:missing=true") == {"nowhere"}


@pytest.mark.parametrize(
    "value", ["1", "a|b", "1|2|3|parsec", "1|2|3|km|5", "91|0", "0|181", "0|0|-1", "nan|0", "1e5|0"]
)
def test_no_place(value: str) -> None:
    assert refusal("Location", f"near={value}")[0].code == "value"


def test_text_that_cannot_be() -> None:
    assert refusal("Patient", "name=%CC%81")[0].code == "value"  # an accent on nothing
    with pytest.raises(SearchRefused):
        parse(("Patient",), [("name", "\ud800")], reading())
