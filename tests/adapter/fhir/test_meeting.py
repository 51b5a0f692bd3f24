"""Where conditional writes meet that would make the same: by their criteria, whatever these are, and by identifiers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from adapter.fhir.criteria import read_criteria
from adapter.fhir.meeting import places
from adapter.fhir.writes import Write
from adapter.fhir.writing import carry_out
from adapter.security.callers import Caller
from store.store import Store
from store.unit_of_work import UnitOfWork
from tests.adapter.fhir.door import HOST, TAGS, bare, person, tagged
from tests.conftest import Api
from tests.store.support import create, side_by_side

BORN = "family=Okello&birthdate=2000-01-01"


def met(one: str, other: str, value: str = "One") -> set[str]:
    """Where creations of a Patient with that identifier meet, by their criteria."""
    wanted = (read_criteria(text, "Patient") for text in (one, other))
    first, second = (places("Patient", criteria, tagged("x", value)) for criteria in wanted)
    return {*first} & {*second}


@pytest.mark.parametrize(
    ("one", "other", "value"),
    [
        (BORN, BORN, "One"),
        (BORN, "birthdate=2000-01-01&family=Okello", "One"),
        ("identifier=one", f"identifier={TAGS}|one", "One"),
        ("identifier=one", f"identifier={TAGS}|one", " One "),
    ],
)
def test_who_looks_for_the_same_meets(one: str, other: str, value: str) -> None:
    assert met(one, other, value)


@pytest.mark.parametrize(
    ("one", "other"),
    [(BORN, BORN.replace("Okello", "Auma")), (BORN, "identifier=one"), ("identifier=two", "identifier=one")],
)
def test_who_looks_for_something_else_is_no_rival(one: str, other: str) -> None:
    assert not met(one, other)


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_rivals_whose_criteria_name_no_identifier_make_one(api: Api, store: Store, method: str) -> None:
    # The first document with several values in an index changes that index: that alone would make the two meet.
    await create(store, person("before", birthDate="1999-01-01"))
    who = Caller(await api.service.keyring.authenticate(f"Bearer {api.key}"), api.service, store)
    write = Write(method, "Patient", resource=bare(person("x", birthDate="2000-01-01")))
    asked = read_criteria(BORN, "Patient")
    write = replace(write, if_none_exist=asked) if method == "POST" else replace(write, criteria=asked)

    async def step(work: UnitOfWork) -> Any:
        return (await carry_out(work, who, HOST, [write]))[0].status

    assert sorted(await side_by_side(store, step, step)) == [200, 201]
