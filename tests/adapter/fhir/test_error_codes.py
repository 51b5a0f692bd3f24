"""The tables of codes in docs/fhir.md name each code that a FHIR caller can be given, with its status, and no other."""

from __future__ import annotations

from collections import defaultdict

from tests.adapter.codes import given, told

# What is said to who makes keys, and to no caller.
TO_OTHERS = {"api_key_already_rolled", "api_key_not_found"}
_MODULES = (
    *("fhir/**/*.py", "scheduling/*.py", "security/*.py", "export/router.py"),
    *("encoding.py", "errors.py", "gate.py", "protocol.py", "refusals.py"),
)


def test_the_tables_of_codes_are_complete() -> None:
    can_be = {code for code, _ in given(*_MODULES)}
    assert can_be >= TO_OTHERS
    assert {code for code, _ in told("fhir.md", "### Codes")} == can_be - TO_OTHERS


def test_a_code_stands_with_each_status_that_it_comes_with() -> None:
    statuses = defaultdict(set)
    for code, status in given(*_MODULES):
        statuses[code].add(status)
    tells = defaultdict(set)
    for code, status in told("fhir.md", "### Codes"):
        tells[code].add(status)
    assert len(statuses) > 100
    for code in statuses.keys() - TO_OTHERS:
        assert statuses[code] - {None} <= tells[code], code
        assert None in statuses[code] or tells[code] == statuses[code], code
