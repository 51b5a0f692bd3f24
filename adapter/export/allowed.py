"""What a de-identified resource may keep, field by field: whatever is not named here goes.

The tables are data, so that the page for people (docs/deidentification.md) is made from what the code does. An element
is kept only if its values come from a closed set (codes of a required binding, numbers, booleans) or are times; coded
ones keep codings of vocabularies that anybody may read; references and identifiers keep a pseudonym.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal

from adapter.scheduling.hours import TIMEZONE
from mappings.elements import ABSENT_REASON
from mappings.fields import CANCELLED_AT
from mappings.systems import Systems
from mappings.uhid import anywhere
from store.remembering import remembered
from store.slotids import CAPACITY

Rule = Literal["kept", "codes", "reference", "identifier", "dead"] | str
"""What becomes of an element; any other word is the name of the table for what is nested in it."""

KEPT, CODES, REFERENCE, IDENTIFIER, DEAD = "kept", "codes", "reference", "identifier", "dead"

MEANINGS = {
    KEPT: "kept as it is",
    CODES: "codings of known vocabularies keep system and code; display and text are removed",
    REFERENCE: "the type and a pseudonym of what it refers to; the display is removed",
    IDENTIFIER: "a pseudonym of system and value; the system is kept if it is one of this service's own",
    DEAD: "`deceasedBoolean` true in its place: the time is removed, the fact of death is not",
}


def _kept(*names: str) -> dict[str, Rule]:
    return dict.fromkeys(names, KEPT)


def _codes(*names: str) -> dict[str, Rule]:
    return dict.fromkeys(names, CODES)


def _references(*names: str) -> dict[str, Rule]:
    return dict.fromkeys(names, REFERENCE)


_IDENTIFIED: dict[str, Rule] = {"identifier": IDENTIFIER}

RESOURCES: Mapping[str, Mapping[str, Rule]] = {
    "Appointment": _IDENTIFIED
    | _kept("status", "priority", "start", "end", "minutesDuration", "created")
    | _codes("cancelationReason", "serviceCategory", "serviceType", "specialty", "appointmentType", "reasonCode")
    | _references("reasonReference", "supportingInformation", "slot", "basedOn")
    | {"participant": "Appointment.participant", "requestedPeriod": "Period"},
    "AppointmentResponse": _IDENTIFIED
    | _references("appointment", "actor")
    | _kept("start", "end", "participantStatus")
    | _codes("participantType"),
    "Slot": _IDENTIFIED
    | _codes("serviceCategory", "serviceType", "specialty", "appointmentType")
    | _references("schedule")
    | _kept("status", "start", "end", "overbooked"),
    "Schedule": _IDENTIFIED
    | _kept("active")
    | _codes("serviceCategory", "serviceType", "specialty")
    | _references("actor")
    | {"planningHorizon": "Period"},
    "Patient": _IDENTIFIED
    | _kept("active", "gender", "deceasedBoolean")
    | _references("generalPractitioner", "managingOrganization")
    | {"deceasedDateTime": DEAD, "link": "Patient.link"},
    "RelatedPerson": _IDENTIFIED
    | _kept("active", "gender")
    | _references("patient")
    | _codes("relationship")
    | {"period": "Period"},
    "Group": _IDENTIFIED
    | _kept("active", "type", "actual", "quantity")
    | _codes("code")
    | _references("managingEntity")
    | {"member": "Group.member"},
    "Practitioner": _IDENTIFIED | _kept("active", "gender") | {"qualification": "Practitioner.qualification"},
    "PractitionerRole": _IDENTIFIED
    | _kept("active")
    | _references("practitioner", "organization", "location", "healthcareService", "endpoint")
    | _codes("code", "specialty")
    | {"period": "Period", "availableTime": "availableTime", "notAvailable": "notAvailable"},
    "Location": _IDENTIFIED
    | _kept("status", "mode")
    | _codes("operationalStatus", "type", "physicalType")
    | _references("managingOrganization", "partOf", "endpoint")
    | {"hoursOfOperation": "Location.hoursOfOperation"},
    "Organization": _IDENTIFIED | _kept("active") | _codes("type") | _references("partOf", "endpoint"),
    "HealthcareService": _IDENTIFIED
    | _kept("active", "appointmentRequired")
    | _references("providedBy", "location", "coverageArea", "endpoint")
    | _codes("category", "type", "specialty", "serviceProvisionCode", "program", "characteristic", "communication")
    | _codes("referralMethod")
    | {"availableTime": "availableTime", "notAvailable": "notAvailable"},
}
"""By resource type. Every one keeps also ``resourceType``, ``id`` (as a pseudonym), ``meta`` and known extensions."""

NESTED: Mapping[str, Mapping[str, Rule]] = {
    "Meta": _kept("versionId", "lastUpdated") | _codes("security", "tag"),
    "Period": _kept("start", "end"),
    "Appointment.participant": _codes("type")
    | _references("actor")
    | _kept("required", "status")
    | {"period": "Period"},
    "Patient.link": _references("other") | _kept("type"),
    "Group.member": _references("entity") | _kept("inactive") | {"period": "Period"},
    "Practitioner.qualification": _codes("code") | {"period": "Period"},
    "Location.hoursOfOperation": _kept("daysOfWeek", "allDay", "openingTime", "closingTime"),
    "availableTime": _kept("daysOfWeek", "allDay", "availableStartTime", "availableEndTime"),
    "notAvailable": {"during": "Period"},
}
"""By the names that `RESOURCES` uses."""

Values = Mapping[str, "Values | tuple[str, ...]"]


def extensions(systems: Systems) -> dict[str, Values | tuple[str, ...]]:
    """Return the extensions that are kept: by URL the members with their value, or for complex ones their parts."""
    own = systems.extensions
    moments = ("rescheduled-at", "checked-in-at", "arrived-at", "fulfilled-at", "noshow-at")
    minutes = ("valuePositiveInt", "valueUnsignedInt")
    parameters = ("duration", "bufferBefore", "bufferAfter", "alignmentInterval", "alignmentOffset")
    return {
        ABSENT_REASON: ("valueCode",),
        CANCELLED_AT: ("valueDateTime",),
        **{f"{own}/appointment-{name}": ("valueDateTime",) for name in moments},
        f"{own}/hold-expires": ("valueInstant",),
        CAPACITY: ("valueInteger", "valuePositiveInt"),
        TIMEZONE: ("valueCode",),
        f"{own}/scheduling-parameters": dict.fromkeys(parameters, minutes),
        f"{own}/availability": {
            "availableTime": {
                "daysOfWeek": ("valueCode",),
                "allDay": ("valueBoolean",),
                "availableStartTime": ("valueTime",),
                "availableEndTime": ("valueTime",),
            },
            "notAvailable": {"during": ("valuePeriod",)},
        },
    }


Shape = Callable[[str], bool]
"""Tells whether a text can be a code of a vocabulary."""


def _shape(pattern: str) -> Shape:
    compiled = re.compile(pattern)
    return lambda code: compiled.fullmatch(code) is not None


# https://confluence.ihtsdotools.org/display/DOCRELFMT/6+SNOMED+CT+Identifiers: concepts have the partitions 00 and 10,
# and the last digit checks the others (Verhoeff), so nearly no other number passes.
_CONCEPT = re.compile(r"[1-9][0-9]{2,14}[01]0[0-9]")
_TIMES = (
    *("0123456789", "1234067895", "2340178956", "3401289567", "4012395678"),
    *("5987604321", "6598710432", "7659821043", "8765932104", "9876543210"),
)
_PERMUTED = (
    *("0123456789", "1576283094", "5803796142", "8916043527"),
    *("9453126870", "4286573901", "2793806415", "7046913258"),
)


@remembered(4_096)
def is_concept(code: str) -> bool:
    """Tell whether `code` is the identifier of a SNOMED CT concept, by its form and its check digit."""
    if not _CONCEPT.fullmatch(code):
        return False
    check = 0
    for place, digit in enumerate(reversed(code)):
        check = int(_TIMES[check][int(_PERMUTED[place % 8][int(digit)])])
    return check == 0


_TOKEN = re.compile(r"(?!.*[0-9]{3}-[0-9]{2}-[0-9]{4})[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_LONG_NUMBER = re.compile(r"[0-9]{7}")


def is_token(code: str) -> bool:
    """Tell whether `code` looks like a code of a vocabulary of which no more is known: a short word.

    A number as long as those of people, telephones and passports is none, unless it is a SNOMED CT concept.
    """
    return _TOKEN.fullmatch(code) is not None and (not _LONG_NUMBER.search(code) or is_concept(code))


_SNOMED = "http://snomed.info/sct"
# https://hl7.org/fhir/R4/snomedct.html: the module of an edition and the date of a version may be named.
_EDITION = re.compile(
    rf"{_SNOMED}/(?P<module>[0-9]+)(?:/version/20[0-9]{{2}}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01]))?"
)
_HL7, _FHIR, _SID = "http://terminology.hl7.org/CodeSystem", "http://hl7.org/fhir", "http://hl7.org/fhir/sid"
_V2_CODE, _V3_CODE, _NUMBER = _shape("[A-Z]{1,5}|PharmD"), _shape("[A-Z]{1,12}"), _shape("[0-9]{1,4}")
_ICD_10 = _shape(r"[A-Z][0-9][0-9A-Z](?:\.[0-9A-Z]{1,4})?")
_CANCELLED = (
    "maint|meds-inc|other|pat(?:-(?:crs|cpp|dec|fb|lt|mt|mv|preg|swl|ucp))?"
    "|prov(?:-(?:pers|dch|edu|hosp|labs|mri|onc))?|oth-(?:cms|err|fin|iv|int|mu|room|oerr|swie|weath)"
)
_APPOINTMENT = _shape("ROUTINE|WALKIN|CHECKUP|FOLLOWUP|EMERGENCY")
_V2_TABLES = ("0063", "0069", "0116", "0131", "0203", "0286", "0360", "0360/2.7", "0443")
_V3_SYSTEMS = (
    *("ActCode", "ActReason", "Confidentiality", "NullFlavor", "ObservationValue"),
    *("ParticipationFunction", "ParticipationType", "RoleClass", "RoleCode"),
)

VOCABULARIES: Mapping[str, Shape] = {
    _SNOMED: is_concept,
    "http://loinc.org": _shape("(?:[0-9]{1,5}|L[AP][0-9]{1,6})-[0-9]"),
    "urn:ietf:bcp:47": _shape("[a-z]{2,3}(?:-[A-Z][a-z]{3})?(?:-(?:[A-Z]{2}|[0-9]{3}))?"),
    "http://dicom.nema.org/resources/ontology/DCM": _shape("1[0-9]{5}"),
    # Most of what begins with this is systems of identifiers: passports, numbers of insured people.
    f"{_SID}/icd-10": _ICD_10,
    f"{_SID}/icd-10-cm": _ICD_10,
    f"{_SID}/icd-9-cm": _shape(r"(?:[0-9]{3}|V[0-9]{2}|E[0-9]{3})(?:\.[0-9]{1,2})?"),
    f"{_SID}/cvx": _shape("[0-9]{1,3}"),
    f"{_SID}/mvx": _shape("[A-Z]{2,3}"),
    f"{_SID}/ndc": _shape("[0-9]{4}-[0-9]{4}-[0-9]{2}|[0-9]{5}-(?:[0-9]{3}-[0-9]{2}|[0-9]{4}-[0-9]{1,2})"),
    f"{_HL7}/appointment-cancellation-reason": _shape(_CANCELLED),
    f"{_HL7}/service-category": _NUMBER,
    f"{_HL7}/service-type": _NUMBER,
    f"{_HL7}/program": _NUMBER,
    f"{_HL7}/location-physical-type": _shape("si|bu|wi|wa|lvl|co|ro|bd|ve|ho|ca|rd|area|jdn|vi"),
    f"{_HL7}/organization-type": _shape("prov|dept|team|govt|ins|pay|edu|reli|crs|cg|bus|other"),
    f"{_HL7}/practitioner-role": _shape("doctor|nurse|pharmacist|researcher|teacher|ict"),
    f"{_HL7}/service-provision-conditions": _shape("free|disc|cost"),
    f"{_HL7}/service-referral-method": _shape("fax|phone|elec|semail|mail"),
    f"{_HL7}/common-tags": _shape("actionable"),
    **{f"{_HL7}/v2-{table}": _V2_CODE for table in _V2_TABLES},
    f"{_HL7}/v2-0276": _APPOINTMENT,
    f"{_FHIR}/v2/0276": _APPOINTMENT,  # its name in STU3
    **{f"{_HL7}/v3-{name}": _V3_CODE for name in _V3_SYSTEMS},
    f"{_FHIR}/administrative-gender": _shape("male|female|other|unknown"),
    f"{_FHIR}/days-of-week": _shape("mon|tue|wed|thu|fri|sat|sun"),
}
"""The code systems that anybody may read, with how their codes look; this service's own are added to them.

Each is named whole: what begins alike can be a system of identifiers, or have somebody's id at its end.
"""


def vocabulary(system: str) -> Shape | None:
    """Return how the codes of a system look; None for one that is not among `VOCABULARIES`.

    SNOMED CT is known also where its edition or version is named.
    """
    edition = _EDITION.fullmatch(system)
    return VOCABULARIES[_SNOMED] if edition is not None and is_concept(edition["module"]) else VOCABULARIES.get(system)


def holds_uhid(text: str, pattern: str) -> bool:
    """Tell whether something of the shape of a UHID (`pattern`, see `mappings.uhid`) stands anywhere in a text.

    Raises:
        re.error: `pattern` is no regular expression.
    """
    return any(found[0] for found in anywhere(pattern).finditer(text.upper()))
