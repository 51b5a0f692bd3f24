"""What searches and sorts use of a resource."""

from __future__ import annotations

import sys
import time
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store import extract
from tests import strategies


@pytest.mark.parametrize(
    ("text", "relative"),
    [
        ("Practitioner/p-1", "Practitioner/p-1"),
        ("https://elsewhere.example/fhir/Practitioner/p-1", "Practitioner/p-1"),
        ("https://elsewhere.example/Practitioner/of/Practitioner/p-1", "Practitioner/p-1"),
        ("Practitioner/p-1/_history/3", "Practitioner/p-1"),
        ("https://elsewhere.example/fhir/Practitioner/p-1/_history/3", "Practitioner/p-1"),
        ("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"),
        ("urn:x/Practitioner/1", "urn:x/Practitioner/1"),
        ("#p1", "#p1"),
        ("#Practitioner/p1", "#Practitioner/p1"),
        ("Practitioner?identifier=7", "Practitioner?identifier=7"),
        ("just text", "just text"),
        (f"Slot/{'x' * 64}", f"Slot/{'x' * 64}"),
    ],
)
def test_a_reference_has_one_relative_form(text: str, relative: str) -> None:
    assert extract.reference(text) == relative


def test_references_are_found_through_lists_and_named_once() -> None:
    resource = {
        "participant": [
            {"actor": {"reference": "Practitioner/a"}},
            {"actor": {"reference": "https://x.example/Practitioner/a/_history/2"}},
            {"actor": {"display": "no reference"}},
            {"actor": {"reference": None}},
            {"actor": "not an object"},
            {"type": []},
            {"actor": {"reference": "Patient/b"}},
        ]
    }
    assert extract.references(resource, "participant.actor") == ["Practitioner/a", "Patient/b"]


def test_a_single_element_is_found_like_a_list_of_one() -> None:
    assert extract.references({"schedule": {"reference": "Schedule/s"}}, "schedule") == ["Schedule/s"]


@pytest.mark.parametrize(
    "resource", [{}, {"slot": None}, {"slot": []}, {"slot": [None]}, {"slot": "text"}, {"slot": 1}]
)
def test_where_there_is_no_reference_none_is_found(resource: dict[str, Any]) -> None:
    assert extract.references(resource, "slot") == []


def test_walking_through_a_text_finds_nothing() -> None:
    assert list(extract.walk({"a": "text"}, "a.b")) == []


def test_a_null_that_holds_the_place_of_an_extension_is_no_value() -> None:
    assert list(extract.walk({"name": [{"given": [None, "Asha"]}, {"given": None}]}, "name.given")) == ["Asha"]


def test_an_identifier_is_named_with_its_system_once() -> None:
    resource = {
        "identifier": [
            {"system": "urn:s", "value": "1"},
            {"system": "urn:s", "value": "1", "use": "old"},
            {"value": "bare"},
            {"system": "urn:without-value"},
            {"value": 7},
        ]
    }
    assert extract.identifiers(resource, "identifier") == [("urn:s", "1"), ("", "bare")]


def test_identifiers_of_several_actors_are_found() -> None:
    resource = {"participant": [{"actor": {"identifier": {"system": "urn:s", "value": n}}} for n in ("1", "2")]}
    assert extract.identifiers(resource, "participant.actor.identifier") == [("urn:s", "1"), ("urn:s", "2")]


def test_every_reference_in_a_resource_is_found_as_it_was_written_however_deep() -> None:
    resource = {
        "contained": [{"id": "p", "link": [{"other": {"reference": "https://elsewhere.example/fhir/Patient/1"}}]}],
        "subject": {"reference": "#p", "display": "reference"},
        "extension": [{"reference": 1, "valueReference": {"reference": "Group/g/_history/2"}}],
        "reference": {"text": "no reference"},
    }
    found = ["https://elsewhere.example/fhir/Patient/1", "#p", "Group/g/_history/2"]
    assert list(extract.every_reference(resource)) == found


def test_a_resource_is_referred_to_by_its_type_and_its_id() -> None:
    name = extract.reference_to({"resourceType": "Patient", "id": "a.1-b"})
    assert (name, extract.id_of(name)) == ("Patient/a.1-b", "a.1-b")


HERE = ("https://fhir.example.org/fhir/R4", "http://localhost:8000/fhir/R4")


@pytest.mark.parametrize(
    ("text", "indexed"),
    [
        ("Patient/1", "Patient/1"),
        ("Patient/1/_history/3", "Patient/1"),
        ("https://fhir.example.org/fhir/R4/Patient/1", "Patient/1"),
        ("http://localhost:8000/fhir/R4/Patient/1/_history/3", "Patient/1"),
        ("http://fhir.example.org/fhir/R4/Patient/1", "Patient/1"),
        ("https://localhost:8000/fhir/R4/Patient/1", "Patient/1"),
        ("ftp://fhir.example.org/fhir/R4/Patient/1",) * 2,
        ("https://fhir.example.org/fhir/R4/a/Patient/1", "https://fhir.example.org/fhir/R4/a/Patient/1"),
        ("https://fhir.example.org/fhir/R4", "https://fhir.example.org/fhir/R4"),
        ("https://fhir.example.org.evil.example/fhir/R4/Patient/1",) * 2,
        ("https://elsewhere.example/fhir/Patient/1/_history/3", "https://elsewhere.example/fhir/Patient/1"),
        ("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0",) * 2,
        ("#p1", "#p1"),
    ],
)
def test_a_reference_is_indexed_as_ours_only_if_it_is(text: str, indexed: str) -> None:
    assert extract.relative(text, HERE) == indexed


def test_without_an_address_of_our_own_every_absolute_reference_is_elsewhere() -> None:
    assert extract.relative(f"{HERE[0]}/Patient/1", ()) == f"{HERE[0]}/Patient/1"


@pytest.mark.parametrize(
    ("text", "elsewhere"),
    [
        ("Patient/1", False),
        (f"{HERE[0]}/Patient/1", False),
        (f"http://{HERE[0].partition('://')[2]}/Patient/1/_history/2", False),
        (f"{HERE[0]}.evil.example/Patient/1", True),
        ("https://elsewhere.example/fhir/Patient/1", True),
        ("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", False),
        ("urn:x://y/Patient/1", False),
        ("#p1", False),
        ("", False),
    ],
)
def test_an_absolute_reference_below_no_address_of_ours_is_elsewhere(text: str, elsewhere: bool) -> None:
    assert extract.is_elsewhere(text, HERE) == elsewhere


def test_without_an_address_of_our_own_nobody_knows_what_is_elsewhere() -> None:
    assert not extract.is_elsewhere("https://elsewhere.example/fhir/Patient/1", ())


@pytest.mark.parametrize(
    ("text", "alone"),
    [
        ("Patient/1", None),
        ("Patient/1/_history/2", None),
        (f"{HERE[0]}/Patient/1/_history/2", None),
        ("https://elsewhere.example/fhir/Patient/1/_history/2", "Patient/1"),
        (f"{HERE[0]}.evil.example/Patient/1", "Patient/1"),
        ("https://elsewhere.example/patients/7/_history/2", None),
        ("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", None),
        ("#p1", None),
    ],
)
def test_what_is_not_known_to_be_ours_is_named_by_its_id_alone_too(text: str, alone: str | None) -> None:
    assert extract.id_alone(text, HERE) == alone


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Patient/1", "Patient"),
        ("https://elsewhere.example/fhir/Patient/1", "Patient"),
        ("Patient/1/_history/2", "Patient"),
        ("#Patient/1", None),
        ("urn:x/Patient/1", None),
        ("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", None),
        ("just text", None),
    ],
)
def test_a_reference_tells_the_type_that_it_names(text: str, kind: str | None) -> None:
    assert extract.type_of(text) == kind


def test_a_token_ignores_the_case_of_the_code_and_not_of_the_system() -> None:
    assert extract.token("urn:Sys", "AbC") == "urn:Sys|abc"
    assert extract.token("", "A") == "|a"
    assert extract.fold("Straße") == "strasse"


def test_a_bar_within_a_token_is_escaped() -> None:
    assert extract.token("urn:a|b", "C") == "urn:a\\|b|c"
    assert extract.token("urn:a", "B|C") == "urn:a|b\\|c"
    assert extract.token("urn:a\\", "B") == "urn:a\\\\|b"
    assert extract.fold("A|\\") == "a\\|\\\\"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("  Éva\t  MÜLLER ", "eva muller"),
        ("O\u0301scar", "oscar"),
        ("Straße", "strasse"),
        ("ﬁn", "fin"),
        ("İstanbul", "istanbul"),
        ("王", "王"),
        ("", ""),
    ],
)
def test_a_name_is_compared_without_case_accents_and_superfluous_space(text: str, plain: str) -> None:
    assert extract.folded(text) == plain


def test_a_name_of_nothing_but_accents_is_no_work_for_minutes() -> None:
    began = time.process_time()
    assert extract.folded("a" + "\u0301\u0316" * 50_000 + "b") == "ab"
    assert time.process_time() - began < 5


@given(st.text())
def test_folding_a_name_is_folding_its_letters(text: str) -> None:
    plain = unicodedata.normalize("NFKD", text)
    assert extract.folded(plain) == extract.folded(text)


@given(st.text(max_size=20))
def test_folding_a_name_again_changes_nothing(text: str) -> None:
    assert extract.folded(extract.folded(text)) == extract.folded(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Anne-Marie O'Neil", ("annemarieoneil", "marieoneil", "oneil")),
        ("Dr. Sarah Nakamya", ("drsarahnakamya", "sarahnakamya", "nakamya")),
        ("Carreño Quiñones", ("carrenoquinones", "quinones")),
        ("J.R. Okot (senior), PhD", ("jrokotseniorphd", "okotseniorphd", "seniorphd", "phd")),
        ("O’Brien/Smith", ("obriensmith", "smith")),
        ("В\u02bcячеслав", ("вячеслав",)),
        ("Al\u200dAmin\u00adi", ("alamini",)),
        ("ジャン＝ポール・山田", ("シャンホール山田", "ホール山田", "山田")),
        ("सीता देवी", ("सीतादेवी", "देवी")),
        ("Anna – Anna", ("annaanna", "anna")),
        ("Auma", ()),
        ("-, .'", ()),
        ("", ()),
    ],
)
def test_a_name_is_found_from_each_of_its_words_on(text: str, found: tuple[str, ...]) -> None:
    plain = extract.folded(text)
    assert tuple(one for one in extract.from_each_word(text) if one != plain) == found


@given(st.text(max_size=20), st.sampled_from(["'", ".", "-", " ", "\u2019", "\u00ad", "_", "+"]), st.integers(0, 20))
def test_punctuation_makes_no_difference_to_a_name_that_is_run_together(text: str, sign: str, at: int) -> None:
    run = extract.run_together(text)
    assert extract.run_together(run) == run
    if not unicodedata.combining((text[at:] or "x")[0]):
        assert extract.run_together(text[:at] + sign + text[at:]) == run
    found = extract.from_each_word(text)
    assert all(found)
    assert all(run.endswith(one) for one in found)


def test_what_a_long_name_is_found_by_is_bounded() -> None:
    found = extract.from_each_word("a-" * 10_000 + "b")
    assert len("".join(found)) < 5_000
    assert extract.from_each_word(f"{'x' * 200}-y")[0] == "x" * 128
    assert extract.from_each_word(f"{'x' * 100}-{'y' * 100}")[1] == "y" * 100, "of each, not of the text"


def test_a_long_text_is_looked_at_word_by_word_as_far_as_a_name_can_go() -> None:
    """One letter of this text is eighteen when it is folded: a megabyte of them was seconds in the event loop."""
    long = "\ufdfa" * 300_000
    began = time.process_time()
    assert extract.from_each_word(long)
    assert extract.phonetic(long)
    assert time.process_time() - began < 1


def test_the_beginning_of_a_long_text_is_found_like_a_short_one() -> None:
    long = f"Okello Mukasa {'x' * 20_000} last"
    assert extract.phonetic(long)[:2] == extract.phonetic("Okello Mukasa")
    assert extract.from_each_word(long) == ("okellomukasa" + "x" * 116, "mukasa" + "x" * 122, "x" * 128)


def test_a_long_text_does_not_grow_when_it_is_folded() -> None:
    assert len(extract.folded("\ufdfa" * 100)) == 1_800
    long = extract.folded("\ufdfa" * 20_000)
    assert len(long) <= 20_000
    assert long.startswith(extract.folded("\ufdfa" * 100))
    assert len(extract.folded("ab " * 20_000)) == 59_999, "it is found by all of it"


def test_names_that_sound_alike_have_the_same_codes() -> None:
    assert extract.phonetic("Okello Mukasa") == extract.phonetic("okelo  MUKAASA")
    assert extract.phonetic("Éva") == extract.phonetic("Eva")
    assert extract.phonetic("Anna anna") == extract.phonetic("Anna")


def test_a_word_without_a_sound_stands_for_itself() -> None:
    assert extract.phonetic("王 123") == ("王", "123")
    assert extract.phonetic("  ") == ()


def test_no_text_is_no_instant() -> None:
    assert extract.instant(None) is None


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-20T10:00:00Z", utc(2024, 1, 20, 10)),
        ("2024-01-20T10:00:00+03:00", utc(2024, 1, 20, 7)),
        ("2024-01-20T10:00:00-00:00", utc(2024, 1, 20, 10)),
        ("2024-01-20T10:00:00+05:45", utc(2024, 1, 20, 4, 15)),
        ("2024-01-20T01:00:00+14:00", utc(2024, 1, 19, 11)),
        ("2024-01-20T23:30:00-12:00", utc(2024, 1, 21, 11, 30)),
        ("2024-01-20T00:00:00Z", utc(2024, 1, 20)),
        ("2024-01-19T23:59:59.999Z", utc(2024, 1, 19, 23, 59, 59, 999_000)),
        ("2024-12-31T23:59:60Z", utc(2025, 1, 1)),
        ("2024-12-31T23:59:60.5Z", utc(2025, 1, 1)),
        ("2025-01-01T02:59:60.123456789+03:00", utc(2025, 1, 1)),
        ("2024-12-31T18:59:60-05:00", utc(2025, 1, 1)),
        ("9999-12-31T23:59:59-05:00", utc(9999, 12, 31, 23, 59, 59, 999_000)),
        ("9999-12-31T23:59:60Z", utc(9999, 12, 31, 23, 59, 59, 999_000)),
        ("0001-01-01T00:00:00+05:00", utc(1, 1, 1)),
    ],
)
def test_an_instant_is_a_moment_in_utc(text: str, moment: datetime) -> None:
    found = extract.instant(text)
    assert found == moment
    assert found is not None
    assert found.tzinfo is UTC


@pytest.mark.parametrize("digits", range(1, 10))
def test_a_fraction_of_any_length_counts_to_the_millisecond(digits: int) -> None:
    fraction = "987654321"[:digits]
    milliseconds = int(fraction[:3].ljust(3, "0"))
    assert extract.instant(f"2024-01-20T10:00:00.{fraction}Z") == utc(2024, 1, 20, 10, 0, 0, milliseconds * 1000)


@given(strategies.instants)
def test_every_fhir_instant_is_the_moment_it_names(text: str) -> None:
    found = extract.instant(text)
    assert found is not None
    hours, minutes = (0, 0) if text.endswith("Z") else (int(text[-6:-3]), int(text[-6] + text[-2:]))
    year, month, day = (int(part) for part in text[:10].split("-"))
    hour, minute, second = (int(part) for part in text[11:19].split(":"))
    fraction = text[20:].partition("Z")[0].partition("+")[0].partition("-")[0] if text[19] == "." else ""
    expected = utc(year, month, day, hour, minute) + timedelta(seconds=second) - timedelta(hours=hours, minutes=minutes)
    if second < 60:
        expected += timedelta(milliseconds=int(fraction[:3].ljust(3, "0")))
    assert found == expected


@given(st.integers(0, 9_000 * 365 * 86_400 * 10**6).map(lambda since: utc(999, 1, 1) + timedelta(microseconds=since)))
def test_an_instant_is_never_later_than_its_text(moment: datetime) -> None:
    found = extract.instant(moment.isoformat())
    assert found is not None
    assert timedelta() <= moment - found < timedelta(milliseconds=1)


LONG_TEXT = "Practitioner/a " * 1_000


@pytest.mark.parametrize(
    "function",
    [
        extract.reference,
        extract.spellings,
        lambda text: extract.relative(text, ("http://here",)),
        extract.folded,
        extract.run_together,
        extract.from_each_word,
        extract.phonetic,
    ],
)
def test_long_texts_are_not_remembered(function: Callable[[str], object]) -> None:
    text = LONG_TEXT + "é"
    held = sys.getrefcount(text)
    function(text)
    assert sys.getrefcount(text) == held
