"""Parameters about results, what is left out and what is refused; and the criteria of conditional interactions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from store.parameters import Parameter
from store.search import Note, SearchRefused, matches, modifiers, parse, results
from store.store import Store
from store.types import TYPES
from store.unit_of_work import UnitOfWork
from tests.store.search.support import appointment, identifier, parsed, put, reading, refusal, resource

STRICT = reading(strict=True)


def sortable(kind: str) -> list[Parameter]:
    """The parameters that resources of a type can be sorted by."""
    [told] = refusal(kind, "_sort=nothing", STRICT)
    names = told.text.partition("Possible: ")[2].rstrip(".").split(", ")
    return [TYPES[kind].parameters[name] for name in names]


def test_the_parameters_used_are_told_as_they_were_used() -> None:
    search = parsed(
        "Appointment",
        "_count=5&status=booked&_format=json&_pretty=true&foo=1&date=&_sort=-date,foo,_id&_count=5000"
        "&_elements=start,nothing&_total=none&_summary=false&_contained=false&_containedType=container&slot=,",
    )
    assert search.used == (
        ("status", "booked"),
        ("_sort", "-date,_id"),
        ("_count", "1000"),
        ("_elements", "start"),
        ("_total", "none"),
        ("_summary", "false"),
        ("_contained", "false"),
        ("_containedType", "container"),
    )
    assert [note.parameter for note in search.ignored] == ["foo", "_sort", "_elements"]
    assert (search.count, search.total, search.summary, search.elements) == (1000, "none", None, ("start",))


@pytest.mark.parametrize("name", ["foo", "_content", "_text", "_filter", "_list", "foo:exact"])
def test_an_unknown_parameter_is_left_out_or_refused(name: str) -> None:
    search = parsed("Appointment", f"{name}=x")
    assert search.filters == ((),)
    (note,) = search.ignored
    assert (note.code, note.parameter) == ("not-supported", name)
    assert "appointment-type" in note.text
    assert refusal("Appointment", f"{name}=x", STRICT) == (note,)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("_count=x", "0 to 1000"),
        ("_count=-1", "0 to 1000"),
        ("_count=1.5", "0 to 1000"),
        ("_count=٣", "0 to 1000"),
        ("_summary=all", "true, text, data, count, false"),
        ("_total=exact", "none, estimate, accurate"),
        ("_count:exact=1", "':exact'"),
        ("_sort:asc=date", "':asc'"),
        ("_include:foo=Appointment:patient", "':foo'"),
        ("_summary=text&_include=Appointment:patient", "cannot be combined"),
    ],
)
def test_values_that_are_refused_always(query: str, text: str) -> None:
    (problem,) = refusal("Appointment", query)
    assert text in problem.text


def test_all_problems_are_told_at_once() -> None:
    problems = refusal("Appointment", "foo=1&_count=x&date=x&status:in=y&_sort=foo&_contained=both", STRICT)
    assert [one.parameter for one in problems] == ["foo", "_count", "date", "status:in", "_sort", "_contained"]


def test_counts() -> None:
    assert parsed("Slot", "_count=0").count == 0
    assert parsed("Slot", "_count=007").count == 7
    assert parsed("Slot", f"_count={'9' * 5000}").count == 1000
    assert parsed("Slot", "").count == 50


def test_a_count_has_its_least_and_its_most() -> None:
    for text, size in (("1", 1), ("007", 7), ("200", 200), ("201", 200), ("9" * 5_000, 200)):
        assert results.count(text, least=1, most=200) == size
    for text in ("0", "0" * 5_000, "", "-1", "x"):
        with pytest.raises(SearchRefused) as refused:
            results.count(text, least=1, most=200)
        assert "1 to 200" in refused.value.problems[0].text


def test_contained_resources_are_not_searched() -> None:
    for query in ("_contained=true", "_contained=both", "_containedType=contained"):
        assert [note.code for note in parsed("Slot", query).ignored] == ["not-supported"]
        assert refusal("Slot", query, STRICT)


def test_elements() -> None:
    search = parsed(
        "Patient", "_elements=name,deceased,deceasedBoolean,Patient.gender,contact.name,id,,Slot.start&_elements=x"
    )
    assert search.elements == (
        "name",
        "deceased",
        "deceasedBoolean",
        "Patient.gender",
        "contact.name",
        "id",
        "Slot.start",
    )
    assert [note.parameter for note in search.ignored] == ["_elements"]
    assert parsed("Patient", "_elements=Patient.nothing").elements == ()
    assert parsed("Patient", "_elements=name, id ,%20,name").elements == ("name", "id")


@pytest.mark.parametrize(
    "query",
    [
        f"_elements={','.join(f'e{index}' for index in range(1_001))}",
        "&".join(f"_elements={','.join(f'e{part}-{index}' for index in range(11))}" for part in range(91)),
        f"_sort={','.join(f's{index}' for index in range(1_001))}",
        "_sort=date" + "," * 1_000,
        f"_type={','.join(f'T{index}' for index in range(1_001))}",
        "&".join(f"_type={','.join(f'T{part}-{index}' for index in range(11))}" for part in range(91)),
    ],
)
def test_names_in_a_list_are_bounded(query: str) -> None:
    problem = refusal("Appointment,Slot", query)[0]
    assert (problem.code, problem.parameter) == ("too-costly", query.partition("=")[0])
    assert "1,000" in problem.text


def test_as_many_names_as_may_be_are_judged_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[str] = []

    class Counted(str):
        def __eq__(self, other: object) -> bool:
            judged.append(self)
            return super().__eq__(other)

        __hash__ = str.__hash__

    names = [Counted(f"e{index}") for index in range(1_000)]
    known, notes = results.elements(names, ("Appointment",))
    assert (known, len(notes), len(judged)) == ((), 1_000, 0)


def test_blanks_around_commas_mean_nothing() -> None:
    search = parsed("Appointment,Slot", "_type=Slot, Appointment&_sort=_lastUpdated, -_id ,&_elements=start, end")
    assert search.kinds == ("Slot", "Appointment")
    assert search.used == (
        ("_type", "Slot,Appointment"),
        ("_sort", "_lastUpdated,-_id"),
        ("_elements", "start,end"),
    )
    assert not search.ignored


def test_sorting() -> None:
    search = parsed(
        "Appointment", "_sort=-date-or-req-period,date,--date-or-req-period,-date&_sort=status,date,,near,actor,patient"
    )
    assert search.sort == (
        (("_index.date-or-req-period:sort",), 1),
        (("_index.date",), 1),
        (("_index.date-or-req-period:last",), -1),  # of several values another one: no key that was there already
        (("_index.status",), 1),
    )
    assert [note.text.partition("'")[2].partition("'")[0] for note in search.ignored] == ["near", "actor", "patient"]
    assert parsed("Appointment", "_sort=--date-or-req-period").sort == ((("_index.date-or-req-period:last",), -1),)
    assert parsed("Patient", "_sort=-birthdate,family").sort == (
        (("_index.birthdate.lo",), -1),
        (("_index.family:sort",), 1),
    )
    assert parsed("Patient", "_sort=-family,given,family").sort == (
        (("_index.family:last",), -1),
        (("_index.given:sort",), 1),
        (("_index.family:sort",), 1),
    )
    assert {one.name for one in sortable("Slot")} >= {"start", "_id", "_lastUpdated", "schedule", "end"}


def test_the_guide_says_what_can_be_sorted_by() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "fhir.md").read_text()
    told = guide.partition("- **`_sort`**")[2].partition("\n- **")[0]
    possible, impossible = (set(re.findall(r"`([^`]+)`", part)) for part in told.split("Not:"))
    several = {one.name for kind in TYPES for one in sortable(kind) if not one.single}
    assert several <= possible, "those with several values are named one by one"
    parameters = [(kind, one) for kind, declared in TYPES.items() for one in declared.parameters.values()]
    for kind, one in parameters:
        chooses = one.field != one.name and one.kind == "reference"
        named = one.name in several or (one.single and not chooses and one.kind != "special")
        assert (one in sortable(kind)) == named, (kind, one.name)
    left_out = {one.name for kind, one in parameters if one not in sortable(kind)}
    assert impossible <= left_out


def test_several_types_take_what_all_of_them_have() -> None:
    search = parsed("Appointment,Slot", "status=free&_lastUpdated=ge2026")
    assert len(search.filters) == 2
    assert refusal("Appointment,Slot", "date=2026")[0].parameter == "date"
    assert parsed("Appointment,Slot", "foo=2026").ignored
    assert parsed("Appointment,Slot", "_sort=date").ignored
    assert parsed("Appointment,Slot", "_sort=-_lastUpdated").sort


def test_types_are_chosen() -> None:
    search = parsed("Appointment,Slot,Patient", "_type=Slot,Appointment&_type=Slot")
    assert search.kinds == ("Slot", "Appointment")
    assert search.used == (("_type", "Slot,Appointment"),)
    search = parsed("Appointment", "_type=Appointment")
    assert search.used == (("_type", "Appointment"),)
    search = parsed("Appointment", "_type=Slot")
    assert search.kinds == ("Appointment",)
    assert search.used == ()
    assert "Slot cannot be searched here" in search.ignored[0].text
    assert refusal("Appointment", "_type=Slot,Foo", STRICT)[0].parameter == "_type"


def test_every_declared_parameter_takes_its_modifiers() -> None:
    values = {"near": "0|0", "missing": "true", "of-type": "a|b|c"}
    for kind, declared in TYPES.items():
        for parameter in declared.parameters.values():
            takes = modifiers(parameter)
            for modifier in (None, *takes):
                name = parameter.name if modifier is None else f"{parameter.name}:{modifier}"
                value = values.get(modifier or parameter.name) or ("2026" if parameter.kind == "date" else "true")
                search = parse((kind,), [(name, value)], STRICT)
                assert search.used == ((name, value),)


def test_a_refusal_reads_as_text() -> None:
    assert str(SearchRefused(Note("value", "a", "One."), Note("value", "b", "Two."))) == "One.; Two."


async def test_criteria_find_at_most_two(store: Store) -> None:
    await put(store, *(resource("Patient", str(n), identifier=[identifier("X")], active=True) for n in range(3)))
    await put(store, appointment("a", None, "Patient/1"))
    assert len(await matches(store, "Patient", [("identifier", "urn:s|x")], reading())) == 2
    assert await matches(store, "Patient", [("_id", "1"), ("_format", "json")], reading()) == ["1"]
    assert await matches(store, "Patient", [("identifier", "none")], reading()) == []
    assert await matches(store, "Appointment", [("patient", "Patient/1")], reading()) == ["a"]
    assert await matches(store, "Appointment", [("patient.identifier", "none")], reading()) == []
    assert await matches(store, "Appointment", [("patient.identifier", "x"), ("_id", "a")], reading()) == ["a"]


@pytest.mark.parametrize("left", "012")
async def test_criteria_find_what_is_left_of_several_matches(store: Store, left: str) -> None:
    """A conditional create beside deletions would make it a second time."""
    await put(store, *(resource("Patient", one, identifier=[identifier("X")]) for one in "012"))
    gone = {*"012"} - {left}
    assert await matches(store, "Patient", [("identifier", "urn:s|x")], reading(), without=gone) == [left]


async def test_criteria_are_read_inside_a_transaction(store: Store) -> None:
    async def step(work: UnitOfWork) -> list[str]:
        return await matches(work, "Patient", [("_has:Appointment:patient:_id", "a"), ("identifier", "x")], reading())

    await put(store, resource("Patient", "1", identifier=[identifier("X")]), appointment("a", None, "Patient/1"))
    assert await store.transact(step) == ["1"]


@pytest.mark.parametrize(
    "pairs",
    [
        (),
        (("identifier", ""),),
        (("identifier", "x"), ("active", "")),
        (("identifier", "x"), ("_count", "1")),
        (("identifier", "x"), ("_include:iterate", "*")),
        (("identifier", "x"), ("foo", "1")),
        (("identifier:foo", "x"),),
        (("_format", "json"),),
    ],
)
async def test_criteria_that_would_match_more_than_was_meant(store: Store, pairs: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(SearchRefused):
        await matches(store, "Patient", pairs, reading())
