"""What a key may do."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from adapter.errors import Forbidden
from adapter.security import permissions
from adapter.security.permissions import Permissions


@dataclass
class Holder:
    permissions: Permissions


def test_parse_reads_what_people_write_and_joins_a_resource_named_twice() -> None:
    parsed = permissions.parse([" slots : write ", "appointments:read, write", "slots:read"])
    assert parsed == {
        "appointments": frozenset({"read", "write"}),
        "slots": frozenset({"read", "write"}),
    }
    assert permissions.parse([]) == {}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("appointment:read", ["'appointment'", "appointments, slots, schedules"]),
        ("slots:delete", ["'delete'", "read or write", "slots:read,write"]),
        ("slots", ["''", "slots:read,write"]),
        ("slots:", ["''"]),
        ("slots:read,", ["''"]),
        ("slots:READ", ["'READ'"]),
    ],
)
def test_parse_names_the_bad_word_and_the_allowed_ones(spec: str, words: list[str]) -> None:
    with pytest.raises(ValueError) as refusal:
        permissions.parse([spec])
    for word in words:
        assert word in str(refusal.value)


def test_the_document_is_the_documented_json_and_comes_back() -> None:
    some = permissions.parse(["patients:read", "appointments:write,read"])
    assert permissions.to_document(some) == {"appointments": ["read", "write"], "patients": ["read"]}
    assert permissions.from_document(permissions.to_document(some)) == some
    assert permissions.from_document(permissions.to_document(permissions.everything())) == (permissions.everything())


def test_words_of_a_newer_version_grant_nothing() -> None:
    assert permissions.from_document({"rooms": ["read"], "slots": ["read", "lock"], "export": ["fly"]}) == {
        "slots": frozenset({"read"})
    }


def test_everything_allows_everything() -> None:
    holder = Holder(permissions.everything())
    assert set(holder.permissions) == set(permissions.RESOURCES)
    for verbs in holder.permissions.values():
        assert verbs == {"read", "write"}
    permissions.require(holder, "admin", "write")


def test_require_names_what_is_missing() -> None:
    holder = Holder(permissions.parse(["slots:read"]))
    permissions.require(holder, "slots", "read")
    with pytest.raises(Forbidden) as refusal:
        permissions.require(holder, "appointments", "write")
    assert refusal.value.status == 403
    (problem,) = refusal.value.problems
    assert problem.code == "permission_denied"
    assert "appointments:write" in problem.message
    assert problem.details == {"permission": "appointments:write"}


def test_write_does_not_imply_read() -> None:
    with pytest.raises(Forbidden, match="slots:read"):
        permissions.require(Holder(permissions.parse(["slots:write"])), "slots", "read")
