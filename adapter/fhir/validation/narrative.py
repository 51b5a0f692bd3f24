"""Narrative without active content (https://hl7.org/fhir/R4/narrative.html, txt-1 and txt-2).

A browser shows what another system sent, so the div is XHTML of the elements and attributes that FHIR allows, and
nothing that runs. Read by expat as a stream: there is no tree, no DTD and no entity.
"""

from __future__ import annotations

import re
from contextlib import suppress
from xml.parsers import expat

from adapter.fhir.validation.findings import Findings, Place

_XHTML = "http://www.w3.org/1999/xhtml"
_XML = "http://www.w3.org/XML/1998/namespace"
_ELEMENTS = frozenset({
    "div", "span", "p", "br", "h1", "h2", "h3", "h4", "h5", "h6", "address", "bdo", "em", "strong", "dfn", "code",
    "samp", "kbd", "var", "cite", "abbr", "acronym", "blockquote", "q", "sub", "sup", "pre", "ul", "ol", "li", "dl",
    "dt", "dd", "table", "caption", "colgroup", "col", "thead", "tfoot", "tbody", "tr", "th", "td", "tt", "i", "b",
    "big", "small", "u", "s", "strike", "font", "hr", "a", "img", "map", "area"
})  # fmt: skip
_ATTRIBUTES = frozenset({
    "title", "style", "class", "id", "lang", "dir", "accesskey", "tabindex", "name", "href", "charset", "type",
    "hreflang", "rel", "rev", "shape", "coords", "nohref", "src", "alt", "longdesc", "height", "width", "usemap",
    "ismap", "border", "align", "valign", "hspace", "vspace", "cite", "clear", "compact", "start", "value", "summary",
    "frame", "rules", "cellspacing", "cellpadding", "span", "char", "charoff", "abbr", "axis", "headers", "scope",
    "rowspan", "colspan", "nowrap", "bgcolor", "noshade", "size", "color", "face"
})  # fmt: skip
_LINKS = frozenset({"href", "src", "cite", "longdesc", "usemap"})
_SCHEME = re.compile(r"([a-z][a-z0-9+.\-]*):")
_SAFE = frozenset({"http", "https", "ftp", "mailto", "tel", "urn", "cid"})
_RASTER = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[a-z0-9+/=]*")
_BLANKS = re.compile(r"[\s\x00-\x20\x7f-\x9f]+")
_RESTLESS = re.compile(
    r"url|image(?:-set)?\(|src\(|expression|import|behaviou?r|binding|script|\\|/\*|<|&", re.IGNORECASE
)


class _Unread(Exception):
    """What is not read any further."""


def check_narrative(div: str, findings: Findings, place: Place) -> None:
    """Add what is wrong with `div`, the ``Narrative.div`` at `place`."""
    reader = _Reader()
    broken = ""
    try:
        reader.read(div)
    except (expat.ExpatError, ValueError) as error:
        line = f" (line {error.lineno}, column {error.offset + 1})" if isinstance(error, expat.ExpatError) else ""
        broken = (
            f"The div is not well-formed XHTML{line}. Close every element, and write characters such as a hard "
            "space as they are or by number (&#160;): XML knows no &nbsp;."
        )
    for fault in reader.faults:
        findings.add("txt-1", "invariant", fault, place)
    if broken:
        findings.add("bad_narrative", "structure", broken, place)
    elif not reader.content and not reader.faults:
        findings.add("txt-2", "invariant", "The div is blank. Give it text, or leave the narrative out.", place)


class _Reader:
    """Reads one div.

    Attributes:
        content: whether there is anything to see.
        faults: what it contains that a narrative must not, each once; there are as many texts as FHIR allows elements.
    """

    def __init__(self) -> None:
        self.content = False
        self.faults: dict[str, None] = {}
        self._outside = True
        self._unread = False  # within a CDATA section

    def read(self, div: str) -> None:
        """Go through `div`; no further than to a document type, which can make much of little.

        Raises:
            ExpatError, ValueError: it is not XML.
        """
        parser = expat.ParserCreate("utf-8", " ")
        parser.StartElementHandler = self._start
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._doctype
        parser.ProcessingInstructionHandler = lambda *_: self._beside("processing instructions")
        parser.XmlDeclHandler = lambda *_: self._beside("an XML declaration")
        parser.CommentHandler = self._comment
        parser.StartCdataSectionHandler = self._cdata
        parser.EndCdataSectionHandler = self._end_of_cdata
        with suppress(_Unread):
            parser.Parse(div.encode(), True)

    def _fault(self, text: str) -> None:
        self.faults[text] = None

    def _beside(self, what: str) -> None:
        self._fault(f"The narrative must not have {what}. Send the <div> alone.")

    def _doctype(self, *_: object) -> None:
        self._beside("a document type or entities of its own")
        raise _Unread

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        space, _, name = tag.rpartition(" ")
        outside, self._outside = self._outside, False
        if space != _XHTML:
            self._fault(f'The div and all in it must be in the XHTML namespace: <div xmlns="{_XHTML}">.')
        elif outside and name != "div":
            self._fault(f"The narrative must be one <div>, not <{_shown(name, _ELEMENTS)}>.")
        elif name not in _ELEMENTS:
            self._fault(
                "The narrative has an element that FHIR does not allow there (such as script, iframe, object or form)."
                " Leave it out; basic HTML formatting, tables, links and images are allowed."
            )
        else:
            self.content |= name == "img"
            for attribute, value in attributes.items():
                if (fault := _harm(name, attribute, value)) is not None:
                    self._fault(fault)

    def _text(self, text: str) -> None:
        if self._unread and ">" in text:
            self._fault("A CDATA section must not hold >: in HTML it would end there. Write the text as it is.")
        self.content |= not text.isspace()

    def _comment(self, comment: str) -> None:
        """Refuse a comment that HTML, in which ``<!-->`` is a whole one, ends before XML does: the rest would show."""
        if comment.startswith((">", "->")):
            self._fault("A comment must not begin with >: in HTML it would end there. Leave it out.")

    def _cdata(self) -> None:
        self._unread = True

    def _end_of_cdata(self) -> None:
        self._unread = False


def _harm(name: str, attribute: str, value: str) -> str | None:
    """Return what is wrong with an attribute of an element that is allowed; None where nothing is."""
    space, _, attribute = attribute.rpartition(" ")
    if (space and (space != _XML or attribute not in ("lang", "space"))) or (
        not space and attribute not in _ATTRIBUTES
    ):
        return f"<{name}> has an attribute that FHIR does not allow there (such as an event, onclick). Leave it out."
    if attribute in _LINKS and not _leads_nowhere_active(name, attribute, value):
        return (
            f"The {attribute} of <{name}> must be a plain link (https:, mailto:, tel:, #id or relative), "
            "never javascript: or data: (a data:image/png in an <img> excepted)."
        )
    if attribute == "style" and _RESTLESS.search(value):
        return f"The style of <{name}> must not load or run anything (url, @import, expression, escapes)."
    return None


def _leads_nowhere_active(name: str, attribute: str, value: str) -> bool:
    link = _BLANKS.sub("", value).lower()
    if name == "img" and attribute == "src" and _RASTER.fullmatch(link):
        return True
    scheme = _SCHEME.match(link)
    return scheme is None or scheme[1] in _SAFE


def _shown(name: str, known: frozenset[str]) -> str:
    return name if name in known else "another element"
