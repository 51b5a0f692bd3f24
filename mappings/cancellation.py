"""Why an appointment was cancelled: an open MediLoop vocabulary beside HL7's 32 codes.

MediLoop documents one reason only, so a code that no table knows is kept and never refused, and an HL7 code
that has no MediLoop counterpart is shown as it is rather than bent into one (docs/mapping.md).
"""

from __future__ import annotations

from mappings.elements import Resource, coded, emptied, put
from mappings.reading import Reading

ELEMENT = "cancelationReason"  # R4's spelling


def _shown(reading: Reading) -> tuple[str | None, str | None]:
    """Return code and text as MediLoop sees them."""
    concept = reading.resource.get(ELEMENT)
    if concept is None:
        return None, None
    text = concept.get("text")
    table = reading.vocabulary.reason_to_mediloop
    translatable: Resource | None = None
    other = None
    for coding in concept.get("coding", ()):
        code, system = coding.get("code"), coding.get("system")
        if not code:
            continue
        if system == reading.systems.cancellation_reason:
            return code, text
        if translatable is None and system in table.sources:
            translatable = coding
        other = other or code
    if translatable is None:
        return other, text
    code, system = translatable["code"], translatable["system"]
    match = table.match(code, system)
    if text is None and (match is None or match.provided):
        text = table.display(code, system) or translatable.get("display")
    return (match.code if match is not None else None), text


def read_code(reading: Reading) -> str | None:
    """Return the MediLoop coding's code, else HL7's translated, else the first code of any system."""
    return _shown(reading)[0]


def read_text(reading: Reading) -> str | None:
    """Return the text, else the display of an HL7 code that is shown untranslated."""
    return _shown(reading)[1]


def write_code(reading: Reading, value: str | None) -> None:
    """Write MediLoop's coding and its HL7 translation beside it; `None` leaves only extensions.

    Text and codings of the former reason go: they explained that one.
    """
    concept = reading.resource.setdefault(ELEMENT, {})
    if value is None:
        rest = emptied(concept)
        if rest is None:
            del reading.resource[ELEMENT]
        else:
            reading.resource[ELEMENT] = rest
        return
    codings = [{"system": reading.systems.cancellation_reason, "code": value}]
    match = reading.vocabulary.reason_to_hl7.match(value)
    if match is not None:
        codings.append({"system": match.system, "code": match.code})
    coded(concept, codings)


def write_text(reading: Reading, value: str | None) -> None:
    """Write the text; `None` removes it.

    Where the display of an untranslated HL7 code would then show in its place, MediLoop's own coding of that
    code is written, which has no text.
    """
    concept = reading.resource.setdefault(ELEMENT, {})
    put(concept, "text", value)
    if not concept.keys() - {"id"}:
        del reading.resource[ELEMENT]
    elif value is None and read_text(reading) is not None:
        write_code(reading, read_code(reading))
