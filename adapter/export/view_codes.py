"""FHIRPath for MediLoop's codes, as the code tables translate them."""

from __future__ import annotations

from adapter.export.view_paths import NOTHING, literal, union
from mappings.systems import Systems
from mappings.vocabulary import ConceptMap, Vocabulary


def code_of(concept: str, system: str) -> str:
    """Return the code of a concept: that of `system`, else any, else its text."""
    own = f"{concept}.coding.where(system = {literal(system)} and code.exists()).code.first()"
    any_code = f"{concept}.coding.code"
    return f"iif({own}.exists(), {own}, iif({any_code}.exists(), {any_code}.first(), {concept}.text))"


def translation(table: ConceptMap, system: str | None, otherwise: str) -> str:
    """Return the expression that translates the code ``$this``; `otherwise` where the table does not know it."""
    groups: dict[str, list[str]] = {}
    for code in _codes_of(table, system):
        target = table.translate(code, system)
        groups.setdefault(literal(target) if target is not None else otherwise, []).append(code)
    rule = table.match("\0", system)
    rest = otherwise if rule is None else "$this" if rule.provided else literal(rule.code)
    made = rest
    for target, codes in groups.items():
        alike = [code for code in codes if literal(code) != target or rest != "$this"]
        if alike and target != made:
            made = f"iif($this in ({union(alike)}), {target}, {made})"
    return made


def _codes_of(table: ConceptMap, system: str | None) -> list[str]:
    groups = [group for group in table.resource["group"] if system in (None, group["source"])]
    return list(dict.fromkeys(element["code"] for group in groups for element in group["element"]))


def type_of(vocabulary: Vocabulary) -> str:
    """Return MediLoop's code of the appointment's type."""
    table = vocabulary.appointment_type
    made = NOTHING
    for system in reversed(table.sources):
        own = f"appointmentType.coding.where(system = {literal(system)} and code.exists()).first().code"
        made = f"iif({own}.exists(), {own}.select({translation(table, system, NOTHING)}), {made})"
    return f"iif(appointmentType.empty(), 'ROUTINE', {made})"


def cancellation(systems: Systems, vocabulary: Vocabulary, *, text: bool) -> str:
    """Return MediLoop's code of the reason why it was cancelled, or its `text`."""
    table, concept = vocabulary.reason_to_mediloop, "cancelationReason"
    own = f"{concept}.coding.where(system = {literal(systems.cancellation_reason)} and code.exists()).code.first()"
    known = f"{concept}.coding.where(system in ({union(table.sources)}) and code.exists()).first()"
    if not text:
        rest = f"{concept}.coding.code.first()"
        translated = f"{known}.select({_per_system(table)})"
        return f"iif({own}.exists(), {own}, iif({known}.exists(), {translated}, {rest}))"
    display = f"{known}.select({_displays(table)})"
    return f"iif({concept}.text.exists() or {own}.exists(), {concept}.text, {display})"


def _per_system(table: ConceptMap) -> str:
    made = NOTHING
    for system in reversed(table.sources):
        made = f"iif(system = {literal(system)}, code.select({translation(table, system, NOTHING)}), {made})"
    return made


def _displays(table: ConceptMap) -> str:
    """Return the expression for the display of a coding that the table leaves as it is."""
    made = "display"
    for system in table.sources:
        for code in _codes_of(table, system):
            match, stated = table.match(code, system), table.display(code, system)
            here = f"system = {literal(system)} and code = {literal(code)}"
            if match is not None and not match.provided:
                made = f"iif({here}, {NOTHING}, {made})"
            elif stated is not None:
                made = f"iif({here}, {literal(stated)}, {made})"
    return made
