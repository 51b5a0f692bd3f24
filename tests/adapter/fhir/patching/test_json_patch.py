"""JSON Patch: the cases of its public test suite in our words, then what FHIR and this server add."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from adapter.errors import Malformed, Unprocessable
from adapter.fhir.patching import Patch, apply, json_patch
from adapter.fhir.patching.values import Budget, NotApplicable, same
from store.codec import Resource, decode, encode, parse

Doc = Any


def _op(text: str) -> dict[str, Any]:
    """Read ``add /a/0 1`` or ``move /a -> /b``."""
    op, _, rest = text.partition(" ")
    if op in ("move", "copy"):
        source, _, path = rest.partition(" -> ")
        return {"op": op, "from": _bare(source), "path": _bare(path)}
    path, _, value = rest.partition(" ")
    path = _bare(path).replace("%20", " ")
    return {"op": op, "path": path} | ({"value": parse(value.encode())} if value else {})


def _bare(path: str) -> str:
    return "" if path == '""' else path


def patched(doc: Doc, *texts: str) -> Doc:
    """Apply operations to any document, by RFC 6902 alone."""
    budget = Budget({})
    for operation in json_patch.read([_op(text) for text in texts]):
        doc = operation.carry_out(doc, budget)
    return doc


class TestSuite:
    """https://github.com/json-patch/json-patch-tests and the appendix of RFC 6902."""

    @pytest.mark.parametrize(
        ("doc", "operations", "expected"),
        [
            ({"a": 1}, [], {"a": 1}),
            ({"a": None}, ["add /a 1"], {"a": 1}),
            ([], ['add /0 "x"'], ["x"]),
            ({}, ['add /a "1"'], {"a": "1"}),
            ({}, ['add "" []'], []),
            ([], ['add "" {}'], {}),
            ([], ['add /- "hi"'], ["hi"]),
            ({}, ["add / 1"], {"": 1}),
            ({"a": {}}, ["add /a/ 1"], {"a": {"": 1}}),
            ({"a": 1}, ["add /b [1,2]"], {"a": 1, "b": [1, 2]}),
            ({"a": [{"b": "c"}]}, ['add /a/0/d "e"'], {"a": [{"b": "c", "d": "e"}]}),
            ({}, ["add /a true"], {"a": True}),
            ({}, ["add /a false"], {"a": False}),
            ({}, ["add /a null"], {"a": None}),
            ({"a": 1}, ['add /0 "b"'], {"a": 1, "0": "b"}),
            (["a"], ['add /1 "b"'], ["a", "b"]),
            (["a", "c"], ['add /1 "b"'], ["a", "b", "c"]),
            (["b"], ['add /0 "a"'], ["a", "b"]),
            (["a", "c"], ['add /1 ["b"]'], ["a", ["b"], "c"]),
            ([1, [2, [3]]], ["add /1/1/- {}"], [1, [2, [3, {}]]]),
            ({"a": 1, "b": [2]}, ["remove /b"], {"a": 1}),
            ({"a": [{"b": 1}]}, ["remove /a/0/b"], {"a": [{}]}),
            ([1, 2, 3, 4], ["remove /1", "remove /2"], [1, 3]),
            ({"a": None}, ["remove /a"], {}),
            ({"a": 1}, ["replace /a [1]"], {"a": [1]}),
            ([""], ["replace /0 0"], [0]),
            ([""], ["replace /0 null"], [None]),
            ({"a": 1}, ['replace "" {"b":2}'], {"b": 2}),
            ({"a": None}, ['replace /a "x"'], {"a": "x"}),
            ({"a": None}, ["move /a -> /b"], {"b": None}),
            ({"a": 1}, ["move /a -> /a"], {"a": 1}),
            ({"a": 1}, ['move "" -> ""'], {"a": 1}),
            ({"a": [{"b": "c"}]}, ["move /a/0/b -> /a/1"], {"a": [{}, "c"]}),
            ({"a": ["x", "y"]}, ["move /a/0 -> /a/1"], {"a": ["y", "x"]}),
            ({"a": [{"b": 1}]}, ["copy /a/0 -> /c"], {"a": [{"b": 1}], "c": {"b": 1}}),
            ({"a": None}, ["copy /a -> /b"], {"a": None, "b": None}),
            ({"/": 9, "~1": 10}, ["test /~01 10"], {"/": 9, "~1": 10}),
            ({"1e0": "a"}, ['test /1e0 "a"'], {"1e0": "a"}),
            ({"-": 1}, ["replace /- 2", "test /- 2"], {"-": 2}),
        ],
    )
    def test_it_applies(self, doc: Doc, operations: list[str], expected: Doc) -> None:
        assert patched(doc, *operations) == expected

    @pytest.mark.parametrize(
        "test",
        [
            '/foo ["bar","baz"]',
            '/foo/0 "bar"',
            "/ 0",
            "/a~1b 1",
            "/c%d 2",
            "/e^f 3",
            "/g|h 4",
            "/i\\j 5",
            '/k"l 6',
            "/%20 7",
            "/m~0n 8",
            '/deep {"y":[{"b":2.0,"a":1}],"x":null}',
        ],
    )
    def test_test_finds_members_of_any_name_whatever_their_order(self, test: str) -> None:
        doc = {
            "foo": ["bar", "baz"],
            "": 0,
            "a/b": 1,
            "c%d": 2,
            "e^f": 3,
            "g|h": 4,
            "i\\j": 5,
            'k"l': 6,
            " ": 7,
            "m~n": 8,
        }
        assert patched(doc | {"deep": {"x": None, "y": [{"a": 1, "b": 2}]}}, f"test {test}")

    @pytest.mark.parametrize(
        ("doc", "operation"),
        [
            ({"a": [1, 2]}, "add /a/8 5"),
            ({"a": [1, 2]}, "add /a/-1 5"),
            ([1, 2], "add /3 5"),
            ([1, 2], "add /x 5"),
            ([1, 2], "add /1e0 5"),
            ([1, 2], "add /00 5"),
            ({"a": "b"}, "replace /a/b 1"),
            ({"a": "b"}, "add /a/b 1"),
            ({"a": "b"}, "add /c/d 1"),
            ({"a": "b"}, "replace /c 1"),
            ([""], "replace /1e0 1"),
            ([""], "replace /1 1"),
            ([""], "replace /- 1"),
            ([1], "remove /1e0"),
            ([1], "remove /2"),
            ({"a": "b"}, "remove /c"),
            ({"a": [{"b": 1}]}, "remove /a/1e0/b"),
            ({"a": 1}, 'remove ""'),
            ({"a": [1]}, "copy /a/1e0 -> /b"),
            ({"a": [1]}, "move /a/1 -> /b"),
            ({"a": {"b": 1}}, "move /a -> /a/b"),
            ({"a": {"b": 1}}, 'move "" -> /a'),
            ({"a": 1}, "test /a/b 1"),
            ({"a": [1, 2]}, "test /a [1]"),
            ({"a": [1, 2]}, "test /a/01 2"),
            ({"a": "1"}, "test /a 1"),
            ({"a": 1}, "test /a true"),
            ({"a": True}, "test /a 1"),
            ({"a": None}, "test /a false"),
            ({"a": {"b": 1}}, 'test /a {"b":1,"c":2}'),
            ({"a": [1]}, "test /a 1"),
            ({"a": 1}, "test /a {}"),
        ],
    )
    def test_it_does_not_apply(self, doc: Doc, operation: str) -> None:
        with pytest.raises(NotApplicable):
            patched(doc, operation)

    @pytest.mark.parametrize(
        "operation",
        [
            1,
            None,
            [],
            {},
            {"op": "spam", "path": "/a", "value": 1},
            {"op": ["add"], "path": "/a", "value": 1},
            {"op": "add", "value": 1},
            {"op": "add", "path": "/a"},
            {"op": "replace", "path": "/a"},
            {"op": "test", "path": "/a"},
            {"op": "copy", "path": "/a"},
            {"op": "move", "path": "/a"},
            {"op": "remove"},
            {"op": "remove", "path": None},
            {"op": "remove", "path": "a"},
            {"op": "remove", "path": "/a~2"},
            {"op": "move", "path": "/a", "from": "b"},
        ],
    )
    def test_it_is_malformed(self, operation: Any) -> None:
        with pytest.raises(Malformed, match=r"Operation 1 \(from 0\)") as refused:
            Patch.read([{"op": "test", "path": "/id", "value": "a1"}, operation])
        assert refused.value.status == 400
        assert refused.value.problems[0].code == "invalid_patch"

    def test_each_that_is_malformed_is_told_at_once_and_all_that_is_wrong_with_it(self) -> None:
        deep: Any = "x"
        for _ in range(120):
            deep = {"a": deep}
        sent = [1, {"op": "spam"}, {"op": "remove", "path": "/a"}, {"op": "move", "from": "a"}]
        sent += [{"op": "move", "from": "a", "path": "b"}, {"op": "add", "path": "a", "value": deep}]
        with pytest.raises(Malformed) as refused:
            Patch.read(sent)
        told = [problem.message.partition(" (from 0)")[0] for problem in refused.value.problems]
        assert told == [f"Operation {index}" for index in (0, 1, 3, 3, 4, 4, 5, 5)]
        with pytest.raises(Malformed) as refused:
            Patch.read([1] * 1_000)
        assert "900 further" in refused.value.problems[-1].message

    def test_further_members_are_ignored(self) -> None:
        patch = Patch.read([{"op": "test", "path": "/id", "value": "a1", "spurious": 1}])
        assert apply(patch, {"resourceType": "Slot", "id": "a1"})


APPOINTMENT = rb"""{"resourceType":"Appointment","id":"a1",
"meta":{"versionId":"3","lastUpdated":"2024-01-15T10:00:00.000Z"},
"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">visit</div>"},
"extension":[{"url":"urn:dose","valueDecimal":1.10}],"status":"booked","start":"2024-03-01T13:00:00.100+03:00",
"end":"2024-03-01T13:30:00+03:00","slot":[{"reference":"Slot/s1"}],"cancelationReason":{"text":"x"},
"participant":[{"actor":{"reference":"Patient/p"},"status":"accepted"}]}"""


def change(*texts: str, raw: bytes = APPOINTMENT) -> Resource:
    return apply(Patch.read([_op(text) for text in texts]), decode(raw))


def refusal(*texts: str, raw: bytes = APPOINTMENT) -> Unprocessable:
    with pytest.raises(Unprocessable) as refused:
        change(*texts, raw=raw)
    assert refused.value.status == 422
    return refused.value


class TestOnResources:
    def test_what_is_not_named_keeps_its_bytes(self) -> None:
        before = decode(APPOINTMENT)
        after = change('replace /status "cancelled"', 'add /comment "later"', "copy /extension/0 -> /extension/-")
        assert encode(before) == encode(decode(APPOINTMENT))  # the original is as it was
        assert encode(after) == encode(before).replace(b'"booked"', b'"cancelled"').replace(
            b'"valueDecimal":1.10}', b'"valueDecimal":1.10},{"url":"urn:dose","valueDecimal":1.10}'
        ).replace(b'"accepted"}]}', b'"accepted"}],"comment":"later"}')

    def test_a_decimal_is_compared_by_value_and_keeps_its_digits(self) -> None:
        after = change("test /extension/0/valueDecimal 1.1", 'add /extension/- {"url":"urn:x","valueDecimal":2.500}')
        assert b"1.10}" in encode(after)
        assert b"2.500" in encode(after)

    def test_a_value_is_not_shared_with_the_patch(self) -> None:
        patch = Patch.read(
            [_op('add /participant/- {"status":"accepted"}'), _op('replace /participant/1/status "declined"')]
        )
        for _ in range(2):
            assert apply(patch, decode(APPOINTMENT))["participant"][1] == {"status": "declined"}

    @pytest.mark.parametrize(
        "operations",
        [
            ["remove /slot/0"],
            ["remove /slot"],
            ["remove /slot/0/reference"],
            ['replace /slot [{"display":"x"}]', "remove /slot/0"],
            ["replace /slot [{}]", "remove /slot"],
            ["remove /slot/0/reference", "remove /cancelationReason/text", 'add /cancelationReason/text "x"'],
        ],
    )
    def test_what_becomes_empty_is_gone(self, operations: list[str]) -> None:
        expected = decode(APPOINTMENT)
        del expected["slot"]
        assert change(*operations) == expected

    @pytest.mark.parametrize(
        "operation",
        [
            "replace /slot []",
            "replace /slot [{}]",
            "replace /slot/0 {}",
            'add /slot [{"identifier":{}}]',
            "replace /slot [null,null]",
            'add /slot [{"extension":[null]}]',
            "replace /slot/0 null",
        ],
    )
    def test_a_value_that_is_empty_takes_nothing_away(self, operation: str) -> None:
        problem = refusal('test /status "booked"', operation).problems[0]
        assert (problem.code, problem.details) == ("empty_value", {"operation": 1})
        assert "remove" in problem.message

    def test_of_what_is_given_empty_the_first_is_named_and_nothing_that_was_emptied(self) -> None:
        operations = ["remove /cancelationReason/text", "add /participant/0/type []", "replace /slot []"]
        assert refusal(*operations).problems[0].details == {"operation": 1}
        assert refusal(*operations[:1], *operations[:0:-1]).problems[0].details == {"operation": 1}

    def test_what_is_given_empty_may_be_filled(self) -> None:
        operations = ["replace /slot []", "add /slot/- {}", 'add /slot/0/reference "Slot/x"']
        assert change(*operations)["slot"] == [{"reference": "Slot/x"}]

    def test_null_keeps_the_place_of_an_extension_and_alone_it_is_empty(self) -> None:
        name = {"given": ["a"], "_given": [{"id": "1"}]}
        raw = encode({"resourceType": "Patient", "name": [name]})
        assert change("replace /name/0/given [null]", raw=raw)["name"] == [name | {"given": [None]}]
        assert change("replace /name/0/_given [null]", raw=raw)["name"] == [{"given": ["a"]}]
        whole = ['replace /name [{"given":[null]}]', 'add /name/0/_given [{"id":"2"}]']
        assert change(*whole, raw=raw)["name"] == [{"given": [None], "_given": [{"id": "2"}]}]
        for taken in ("remove /name/0/_given", "replace /name/0/_given [null]"):
            refused = refusal("replace /name/0/given [null]", taken, raw=raw)
            assert (refused.problems[0].code, refused.problems[0].details) == ("empty_value", {"operation": 0})

    def test_null_in_the_place_of_the_only_item_takes_nothing_away(self) -> None:
        raw = encode({"resourceType": "Patient", "name": [{"given": ["a"], "text": "A"}]})
        for null in ("replace /name/0 null", "replace /name/0/given/0 null"):
            refused = refusal(null, raw=raw)
            assert (refused.problems[0].code, refused.problems[0].details) == ("empty_value", {"operation": 0})
        filled = change("replace /name/0/given/0 null", 'add /name/0/_given [{"id":"1"}]', raw=raw)
        assert filled["name"] == [{"given": [None], "_given": [{"id": "1"}], "text": "A"}]
        assert change("add /name/0/given/- null", "remove /name/0/given/1", raw=raw) == decode(raw)
        emptied = change("replace /name/0/given/0 null", "remove /name/0/given/0", raw=raw)
        assert emptied["name"] == [{"text": "A"}]

    def test_lists_that_are_aligned_stay_so(self) -> None:
        raw = encode(
            {
                "resourceType": "Patient",
                "name": [{"given": ["a", "b", "c"], "_given": [{"id": "1"}, {"id": "2"}, None]}],
                "address": [{"line": [None], "_line": [{"id": "l"}]}],
            }
        )
        name = change("remove /name/0/_given/0/id", raw=raw)["name"][0]
        assert name == {"given": ["a", "b", "c"], "_given": [None, {"id": "2"}, None]}
        assert change("remove /name/0/_given/0/id", "remove /name/0/_given/1/id", raw=raw)["name"][0] == {
            "given": ["a", "b", "c"]
        }
        each = {"given": ["a", "b"], "_given": [{"id": "1"}, {"id": "2"}]}
        left = change("remove /name/0/_given/0/id", raw=encode({"resourceType": "Patient", "name": [each]}))
        assert left["name"] == [each | {"_given": [None, {"id": "2"}]}]
        assert change(raw=raw) == decode(raw)
        assert "address" not in change("remove /address/0/_line", raw=raw)
        assert "address" not in change("replace /address/0/_line/0 null", raw=raw)

    @pytest.mark.parametrize(
        ("operation", "expression"),
        [
            ('replace /id "other"', "Appointment.id"),
            ("remove /id", "Appointment.id"),
            ('add /resourceType "Slot"', "Appointment.resourceType"),
            ('replace /meta/versionId "9"', "Appointment.meta.versionId"),
            ("remove /meta/lastUpdated", "Appointment.meta.lastUpdated"),
            ("move /meta/versionId -> /language", "Appointment.language"),
            ('add /meta/_versionId {"id":"v"}', "Appointment.meta.versionId"),
            ('replace /meta {"_lastUpdated":{"id":"x"}}', "Appointment.meta"),
            ('replace /meta {"versionId":"9"}', "Appointment.meta"),
            ('replace "" {"resourceType":"Appointment"}', "Appointment"),
        ],
    )
    def test_identity_and_version_cannot_be_changed(self, operation: str, expression: str) -> None:
        problem = refusal('test /status "booked"', operation).problems[0]
        assert (problem.code, problem.param, problem.details) == ("immutable_element", expression, {"operation": 1})

    def test_a_whole_new_meta_keeps_the_version(self) -> None:
        kept = {"versionId": "3", "lastUpdated": "2024-01-15T10:00:00.000Z"}
        assert change('replace /meta {"source":"urn:x"}')["meta"] == kept | {"source": "urn:x"}
        assert change("remove /meta")["meta"] == kept
        assert change('test /meta/versionId "3"', 'replace /meta/versionId "3"')["meta"] == kept
        assert change("replace /meta 1")["meta"] == 1  # for validation to refuse

    def test_a_refusal_names_the_operation_the_place_and_no_value(self) -> None:
        refused = refusal('test /participant/0/actor/reference "Patient/secret"')
        assert refused.problems[0].code == "patch_test_failed"
        assert refused.problems[0].param == "Appointment.participant[0].actor.reference"
        assert "Operation 0 (from 0), test /participant/0/actor/reference: " in refused.problems[0].message
        assert "secret" not in str(refused)
        assert "Patient/p" not in str(refused)
        assert refusal("remove /participant/3").problems[0].message.endswith("There is nothing at /participant/3.")

    @pytest.mark.parametrize("path", ["/identifier/-", "/identifier/0"])
    def test_who_adds_to_a_list_that_is_not_there_is_told_how_to_begin_one(self, path: str) -> None:
        assert "add the list itself" in str(refusal(f"add {path} {{}}"))

    @pytest.mark.parametrize(
        ("path", "expression"),
        [
            ("/_status/id", "Appointment.status.id"),
            ("/__proto__/x", "Appointment.__proto__.x"),
            ("/a b/c", "Appointment"),
            ("/slot/-/x", "Appointment.slot"),
        ],
    )
    def test_a_pointer_as_an_expression(self, path: str, expression: str) -> None:
        assert json_patch.read([{"op": "remove", "path": path}])[0].expression("Appointment") == expression

    @pytest.mark.parametrize("value", ["[]", "1", "null", '"x"'])
    def test_what_is_no_object_is_no_resource(self, value: str) -> None:
        assert "no resource" in str(refusal(f'replace "" {value}'))


class TestLimits:
    def test_the_number_of_operations(self) -> None:
        operation = {"op": "test", "path": "/id", "value": "a1"}
        assert apply(Patch.read([operation] * 1_000), decode(APPOINTMENT)) == decode(APPOINTMENT)
        with pytest.raises(Malformed, match="at most 1000") as refused:
            Patch.read([operation] * 1_001)
        assert refused.value.problems[0].issue == "too-costly"

    def test_copies_of_copies_are_stopped(self) -> None:
        assert refusal(*["copy /extension -> /extension/-"] * 40).problems[0].code == "patch_too_costly"
        assert refusal(*["copy /extension -> /extension/0/x"] * 100).problems[0].code == "too_deep"
        wide = [_op('add /comment "' + "x" * 100_000 + '"')] + [_op(f"copy /comment -> /c{n}") for n in range(30)]
        with pytest.raises(Unprocessable) as refused:
            apply(Patch.read(wide), decode(APPOINTMENT))
        assert refused.value.problems[0].code == "patch_too_costly"

    def test_depth(self) -> None:
        deep: Any = "x"
        for _ in range(90):
            deep = {"a": [deep]}
        with pytest.raises(Malformed, match="100 levels"):
            Patch.read([{"op": "add", "path": "/x", "value": deep}])
        half: Any = "x"
        for _ in range(60):
            half = {"a": half}
        below = "/x" + "/a" * 59
        steps = [{"op": "add", "path": "/x", "value": half}, {"op": "add", "path": below, "value": half}]
        with pytest.raises(Unprocessable, match="100 levels") as refused:
            apply(Patch.read(steps), decode(APPOINTMENT))
        assert refused.value.problems[0].code == "too_deep"


class TestDocuments:
    @pytest.mark.parametrize(
        "document",
        [
            *(None, {}, {"resourceType": "Appointment"}),
            {"resourceType": "Parameters", "parameter": {}},
            {"resourceType": "Parameters", "parameter": 0},
            {"resourceType": "Parameters", "parameters": [{"name": "operation"}]},  # it is called `parameter`
        ],
    )
    def test_what_is_no_patch(self, document: Any) -> None:
        with pytest.raises(Malformed):
            Patch.read(document)

    def test_the_base64_of_a_binary_may_be_in_lines(self) -> None:
        data = base64.encodebytes(b'[{"op":"replace","path":"/status","value":"cancelled"}]' + b" " * 80).decode()
        binary = {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": data}
        assert "\n" in data.rstrip()
        assert apply(Patch.read(binary), decode(APPOINTMENT))["status"] == "cancelled"

    def test_a_binary_holds_one_in_a_bundle(self) -> None:
        data = base64.b64encode(b'[{"op":"replace","path":"/status","value":"cancelled"}]').decode()
        binary = {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": data}
        assert apply(Patch.read(binary), decode(APPOINTMENT))["status"] == "cancelled"
        for wrong in (
            {"contentType": "text/plain"},
            {"data": "%"},
            {"data": "é"},
            {"data": 1},
            {"contentType": None},
            {"data": "e30="},
        ):
            with pytest.raises(Malformed):
                Patch.read(binary | wrong)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": 1}, ["a"]),
        ([1, 2], [1, 3]),
        ([1, 2], [1]),
        ([], {}),
        (1, 2),
        (1, "1"),
        (1, True),
        (1, None),
        ("a", "b"),
        ("", None),
    ],
)
def test_what_a_test_tells_apart(one: Any, other: Any) -> None:
    assert not same(one, other)
    assert not same(other, one)
    assert same({"x": [one, other]}, {"x": [one, other]})
    assert not same({"x": [one, other]}, {"x": [other, one]})
