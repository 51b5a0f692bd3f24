"""Narrative: what FHIR allows passes, whatever a browser would run does not."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.fhir.validation import check

XMLNS = 'xmlns="http://www.w3.org/1999/xhtml"'


def codes(div: str) -> list[tuple[str, str | None, str | None]]:
    patient: dict[str, Any] = {"resourceType": "Patient", "text": {"status": "generated", "div": div}}
    return [(problem.code, problem.issue, problem.param) for problem in check(patient)]


@pytest.mark.parametrize(
    "inside",
    [
        "text",
        "<p>a <b>b</b><br/>&#160;&lt;script&gt; &amp; é</p>",
        '<table border="1"><thead><tr><th colspan="2">x</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table>',
        '<a name="x" href="#x">x</a> <a href="https://example.org/?a=1&amp;b=2">y</a>',
        '<a href="mailto:a@example.org">z</a>',
        '<a href="Patient/1">relative</a> <a href="../x:y">a colon after a slash</a>',
        '<img src="#pic" alt="x"/>',
        '<img src="https://example.org/x.png" alt=""/>',
        '<img src="data:image/png;base64,iVBORw0KGgo="/>',
        '<p style="list-style-image: none; background-image: linear-gradient(red, blue)">x</p>',
        '<p style="color: red; text-align: left" title="t" id="a" lang="en" xml:lang="en" dir="ltr">x</p>',
        "<!-- a comment: a > b --><ul><li>x &gt; y > z</li></ul>",
        "<p><![CDATA[a < b]]></p>",
        "<pre> x </pre><hr/><blockquote>y</blockquote>",
    ],
)
def test_basic_formatting_passes(inside: str) -> None:
    assert codes(f"<div {XMLNS}>{inside}</div>") == []


def test_a_prefix_is_as_good() -> None:
    assert codes('<h:div xmlns:h="http://www.w3.org/1999/xhtml"><h:p>x</h:p></h:div>') == []


@pytest.mark.parametrize(
    "inside",
    [
        "x<script>alert(1)</script>",
        "x<SCRIPT>alert(1)</SCRIPT>",
        '<iframe src="https://example.org"/>',
        '<object data="x"/>',
        '<embed src="x"/>',
        '<form action="x"><p>x</p></form>',
        '<input value="x"/>',
        "<button>x</button>",
        "<style>p { color: red }</style>",
        '<link rel="stylesheet" href="x"/>',
        '<meta http-equiv="refresh" content="0"/>',
        '<base href="https://example.org"/>',
        '<video src="x"/>',
        '<p onclick="alert(1)">x</p>',
        '<p ONCLICK="alert(1)">x</p>',
        '<img src="#x" onerror="alert(1)"/>',
        '<p data-x="y">x</p>',
        '<a href="javascript:alert(1)">x</a>',
        '<a href=" JaVa&#x09;Script&#10;:alert(1)">x</a>',
        '<a href="vbscript:x">x</a>',
        '<a href="data:text/html,x">x</a>',
        '<a href="data:image/png;base64,AAAA">x</a>',
        '<img src="data:image/svg+xml;base64,AAAA"/>',
        '<img src="data:image/png;base64,AAAA&quot;&gt;"/>',
        '<q cite="javascript:x">x</q>',
        '<a href="file:///etc/passwd">x</a>',
        '<p style="background: url(https://example.org/x)">x</p>',
        "<p style=\"background: image-set('https://example.org/x' 1x)\">x</p>",
        "<p style=\"background: -webkit-Image-Set('https://example.org/x' 1x)\">x</p>",
        "<p style=\"background: image('https://example.org/x')\">x</p>",
        "<p style=\"background: src('https://example.org/x')\">x</p>",
        '<p style="width: expression(alert(1))">x</p>',
        '<p style="@import x">x</p>',
        '<p style="background: u\\72l(x)">x</p>',
        '<p style="-moz-binding: x">x</p>',
        '<p style="behavior: x">x</p>',
        '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        '<p xmlns:x="urn:x" x:y="z">x</p>',
        '<p xmlns:xl="http://www.w3.org/1999/xlink" xl:href="javascript:x">x</p>',
        '<a xml:base="javascript:x" href="#">x</a>',
        '<?xml-stylesheet href="x"?>x',
        # A browser that reads it as HTML ends these before XML does: what follows would run.
        "<!--><script>alert(1)</script>-->x",
        "<!---><script>alert(1)</script>-->x",
        "<![CDATA[><script>alert(1)</script>]]>x",
        "<p><![CDATA[a]]><![CDATA[\n x><img src='x' onerror='alert(1)'>]]></p>",
    ],
)
def test_active_content_is_refused(inside: str) -> None:
    assert codes(f"<div {XMLNS}>{inside}</div>") == [("txt-1", "invariant", "Patient.text.div")]


def faults(div: str) -> list[str]:
    patient: dict[str, Any] = {"resourceType": "Patient", "text": {"status": "generated", "div": div}}
    return [problem.message for problem in check(patient)]


def test_each_fault_is_named_once() -> None:
    inside = '<script>x</script><iframe/><a href="javascript:y" onclick="z">x</a><p onclick="z" style="a:url(x)">x</p>'
    found = faults(f"<div {XMLNS}>{inside}<!-->-->{inside}<?x y?></div>")
    words = ("such as script", "The href of <a>", "<a> has an attribute", "<p> has an", "The style of <p>")
    assert len(found) == 7
    for word in (*words, "A comment", "processing instructions"):
        assert sum(word in text for text in found) == 1, word


def test_those_before_it_ceases_to_be_xhtml_too() -> None:
    first, second = faults(f"<div {XMLNS}><script/><p></div>")
    assert ("such as script" in first, "not well-formed" in second) == (True, True)


@pytest.mark.parametrize(
    "div",
    [
        "<div>no namespace</div>",
        f"<p {XMLNS}>x</p>",
        f"<x {XMLNS}>x</x>",
        f'<?xml version="1.0"?><div {XMLNS}>x</div>',
        f"<!DOCTYPE div><div {XMLNS}>x</div>",
        f'<!DOCTYPE div [<!ENTITY a "b"><!ENTITY c "&a;&a;&a;">]><div {XMLNS}>&c;</div>',
        f'<!DOCTYPE div [<!ENTITY a SYSTEM "file:///etc/passwd">]><div {XMLNS}>&a;</div>',
        f'<!DOCTYPE div SYSTEM "https://example.org/x.dtd"><div {XMLNS}>x</div>',
    ],
)
def test_only_one_plain_div(div: str) -> None:
    assert codes(div) == [("txt-1", "invariant", "Patient.text.div")]


@pytest.mark.parametrize(
    "div",
    [
        "text",
        f"<div {XMLNS}>",
        f"<div {XMLNS}><p>x</div>",
        f"<div {XMLNS}>x</div><div {XMLNS}>y</div>",
        f"<div {XMLNS}>&nbsp;</div>",
        f"<div {XMLNS}>a & b</div>",
        f"<div {XMLNS} {XMLNS}>x</div>",
        f"<div {XMLNS}>x",
    ],
)
def test_not_well_formed(div: str) -> None:
    assert codes(div) == [("bad_narrative", "structure", "Patient.text.div")]


@pytest.mark.parametrize("inside", ["", " \n ", "<p> </p>", "<br/>", "<!-- x -->", "<p>&#160;</p>"])
def test_blank(inside: str) -> None:
    assert codes(f"<div {XMLNS}>{inside}</div>") == [("txt-2", "invariant", "Patient.text.div")]


def test_the_div_of_a_contained_resource_is_judged_too() -> None:
    text = {"status": "generated", "div": f"<div {XMLNS}><script>x</script></div>"}
    patient = {
        "resourceType": "Patient",
        "contained": [{"resourceType": "Organization", "id": "o", "name": "x", "text": text}],
        "managingOrganization": {"reference": "#o"},
    }
    assert [(p.code, p.param) for p in check(patient)] == [("txt-1", "Patient.contained[0].text.div")]


def test_a_narrative_needs_its_div() -> None:
    patient = {"resourceType": "Patient", "text": {"status": "generated"}}
    assert [(p.code, p.param) for p in check(patient)] == [("missing_element", "Patient.text.div")]
    patient = {"resourceType": "Patient", "text": {"status": "generated", "div": 5}}
    assert [(p.code, p.param) for p in check(patient)] == [("bad_value", "Patient.text.div")]
