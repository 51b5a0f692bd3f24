"""Whether a resource may come in: every check there is, and what becomes of their findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from adapter.errors import Malformed, Problem, Unprocessable
from adapter.fhir.presentation import part_faults
from adapter.fhir.validation.definitions import resource_types
from adapter.fhir.validation.findings import Findings, tellable
from adapter.fhir.validation.models import check_model, check_shape
from adapter.fhir.validation.structure import check_structure
from adapter.fhir.validation.times import check_span, check_told
from adapter.fhir.validation.walk import Walk
from adapter.scheduling import hours_faults
from store.codec import Resource
from store.r4 import STRUCTURES

_BUSINESS = "business-rule"
_MODES = ("create", "update", "delete", "profile")
# Types that take or offer time, and whether start and end may be the same.
_SPANS = {"Appointment": True, "Slot": False, "AppointmentResponse": True}
_HOURS = ("Schedule", "HealthcareService")  # types that may say when they are open
_MODIFIERS = ("modifierExtension", "implicitRules")
_VERSIONS = ("4.0.1", "4.0")  # of these; by the second a canonical means any patch of it


def check(resource: Resource, kind: str | None = None, *, conditional: bool = False) -> list[Problem]:
    """Return everything that is wrong with `resource`; it is not changed.

    Args:
        resource: parsed JSON with exact decimals.
        kind: the type that it must be of; any of R4's where there is none.
        conditional: references may still be search URLs (``Patient?identifier=...``), as in a transaction.
    """
    findings = Findings()
    stated = resource.get("resourceType")
    if not isinstance(stated, str) or stated not in resource_types() or kind not in (None, stated):
        place = kind or "Resource"
        findings.add("wrong_type", "structure", _expected(stated, kind), (place, "resourceType", None))
        check_structure(resource, findings, place)
    elif check_structure(resource, findings, stated):
        Walk(findings, conditional=conditional).resource(resource, stated)
        if not findings.problems:
            check_shape(resource, stated, findings)
        if stated in _HOURS and not findings.problems:
            for problem in hours_faults.faults(resource):
                findings.take(problem)
        if stated in _SPANS:
            check_told(resource, findings, stated)
            check_span(resource, findings, stated, empty=_SPANS[stated])
    return findings.all()


def _expected(stated: object, kind: str | None) -> str:
    if stated is None:
        return f'The resourceType is missing. Add "resourceType": "{kind or "Patient"}" (or whichever type it is).'
    known = stated if isinstance(stated, str) and tellable(stated) else "something else"
    if kind is None or known not in resource_types():
        return "The resourceType is none that R4 has. Write it as FHIR does, such as Patient."
    there = "the base" if known == "Bundle" else f"/{known}"
    return (
        f"This is of type {known}, where one of type {kind} belongs. Send it to {there}, or correct the resourceType."
    )


def _unfit(
    resource: Resource, kind: str | None, ident: str | None = None, *, conditional: bool = False
) -> list[Problem]:
    """Return everything that keeps a resource from being written by itself, whatever is stored; see `require_valid`."""
    problems, place = check(resource, kind, conditional=conditional), kind or "Resource"
    if ident is not None and resource.get("id") != ident:
        text = "An update carries the id of the resource that it is for. Set id to the one in the URL."
        problems = [*problems, Problem("id_mismatch", text, f"{place}.id", issue="value")]
    return [*problems, *part_faults(resource, place)]


def require_valid(
    resource: Resource, kind: str | None = None, ident: str | None = None, *, conditional: bool = False
) -> None:
    """Let only a valid resource pass, that is a whole one and the one that the write is for; see `check`.

    Args:
        resource: what is to be written.
        kind: the type that it must be of; any of R4's where there is none.
        ident: the id that it must have; None where any will do.
        conditional: references may still be search URLs.

    Raises:
        Malformed: 400, with every problem.
        Unprocessable: 422, where all problems are breaches of a business rule.
    """
    problems = _unfit(resource, kind, ident, conditional=conditional)
    if problems:
        against_fhir = any(problem.issue != _BUSINESS for problem in problems)
        raise (Malformed if against_fhir else Unprocessable)(problems)


def warm_up(kinds: Iterable[str]) -> None:
    """Make ready what judges these types (about 20 MB and a quarter of a second), so that the first write need not."""
    for kind in kinds:
        bare = {"resourceType": kind}
        Walk(Findings()).resource(bare, kind)
        check_model(bare, kind, Findings())


def outcome_of(
    resource: Resource | None,
    kind: str,
    mode: str | None = None,
    *,
    ident: str | None = None,
    profile: str | None = None,
    further: Callable[[Resource], Iterable[Problem]] = lambda _: (),
) -> list[Problem]:
    """Return the issues of ``$validate`` (https://hl7.org/fhir/R4/resource-operation-validate.html): at least one.

    Args:
        resource: what is to be validated; none is needed for ``delete``.
        kind: the type that was called.
        mode: ``create``, ``update``, ``delete``, ``profile`` or none.
        ident: the id of the instance that was called.
        profile: the canonical URL of a profile; only R4's own one of the type is known here.
        further: what else a write would be refused for, of a resource with which nothing is wrong so far.

    Raises:
        Malformed: 400, it cannot be carried out.
    """
    require_call(kind, mode, ident, profile, has_subject=resource is not None)
    problems = [] if resource is None else _unfit(resource, kind, ident if mode == "update" else None)
    if resource is not None and not problems:
        problems += further(resource)
    if resource is not None and not problems:
        problems += _remarks(resource, kind)
    if all(problem.severity != "error" for problem in problems):
        problems.append(Problem("no_issues", "No issues", issue="informational", severity="information"))
    return problems


def require_call(kind: str, mode: str | None, ident: str | None, profile: str | None, *, has_subject: bool) -> None:
    """Refuse a ``$validate`` that cannot be carried out at all; the arguments are those of `outcome_of`.

    `has_subject`: whether there is a resource to be judged.

    Raises:
        Malformed: with everything that is wrong with the call.
    """
    problems: list[Problem] = []
    if mode is not None and mode not in _MODES:
        problems.append(Problem("unknown_mode", f"The mode is one of {', '.join(_MODES)}.", "mode", issue="value"))
    if mode in ("update", "delete") and ident is None:
        text = f"Mode {mode} is for one resource. Call /{kind}/[id]/$validate."
        problems.append(Problem("missing_id", text, "mode", issue="required"))
    if profile is not None and not _is_own(profile, kind):
        text = f"Only the profile {STRUCTURES}{kind} of R4 (4.0.1) is known here. Leave the profile out."
        problems.append(Problem("unknown_profile", text, "profile", issue="not-supported"))
    if not has_subject and mode != "delete":
        text = "There is nothing to validate. Send the resource, alone or as the parameter resource of a Parameters."
        problems.append(Problem("missing_resource", text, "resource", issue="required"))
    if problems:
        raise Malformed(problems)


def _is_own(profile: str, kind: str) -> bool:
    """Tell whether a canonical URL is that of R4's own definition of the type."""
    url, versioned, version = profile.partition("|")
    return url == STRUCTURES + kind and (not versioned or version in _VERSIONS)


def _remarks(resource: Resource, kind: str) -> Iterator[Problem]:
    """Yield what is to be said of a resource with which nothing is wrong."""
    if "text" not in resource:
        text = "It has no narrative (dom-6). People can read a resource in any system if it has one."
        yield Problem("dom-6", text, f"{kind}.text", issue="invariant", severity="warning")
    profiles = resource.get("meta", {}).get("profile", ())
    if any(profile is not None and not _is_own(profile, kind) for profile in profiles):
        text = "It names a profile that is not known here. By that it has not been judged, but by R4's own alone."
        yield Problem("unknown_profile", text, f"{kind}.meta.profile", issue="not-supported", severity="warning")
    place = next(_modified(resource, kind), None)
    if place is not None:
        text = "It may mean something else by this, which is not known here: it is kept, and judged as if it had none."
        yield Problem("unknown_modifier", text, place, issue="extension", severity="warning")


def _modified(value: object, place: str) -> Iterator[str]:
    """Yield the FHIRPath of whatever may change what its resource or element means, in a way of somebody's own."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in _MODIFIERS:
                yield f"{place}.{name}"
            else:
                yield from _modified(inner, f"{place}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _modified(item, f"{place}[{index}]")
