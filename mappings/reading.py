"""One appointment, looked through once.

`view` runs on every read. What several members need (the three actors, the extensions by URL) is found in
one pass here, and every reader and writer of a member takes the result.
"""

from __future__ import annotations

from mappings.elements import Known, Resource
from mappings.references import LOCATION, PATIENT, PRACTITIONER, Asked, by_identifier, identity, kind_of
from mappings.systems import Systems
from mappings.vocabulary import Vocabulary


def _has_declined(participant: Resource) -> bool:
    return participant.get("status") == "declined"


class Reading:
    """What readers and writers of a member see.

    Attributes:
        resource: the FHIR Appointment. Writers change it in place: `update` hands them a copy of its own.
        systems: canonical URLs.
        vocabulary: code tables.
        known: stored resources by relative reference.
        patient: the actor of the first participant that is a Patient and has not declined, or of the one that is asked
            for; of one who has declined only where there is no other.
        practitioner: likewise, a Practitioner; one with an id before one without.
        facility: likewise, a Location.
        extensions: the first extension of each URL.
        uhid: the one by which the patient was asked for; None where another is shown.
    """

    __slots__ = (
        "extensions",
        "facility",
        "known",
        "patient",
        "practitioner",
        "resource",
        "systems",
        "uhid",
        "vocabulary",
    )

    def __init__(
        self,
        resource: Resource,
        systems: Systems,
        vocabulary: Vocabulary,
        known: Known,
        asked: Asked | None = None,
    ) -> None:
        self.resource = resource
        self.systems = systems
        self.vocabulary = vocabulary
        self.known = known
        actors: dict[str | None, Resource] = {}
        declined: dict[str | None, Resource] = {}
        for participant in resource.get("participant", ()):
            actor = participant.get("actor")
            if actor is not None:
                found = declined if participant.get("status") == "declined" else actors
                kind = kind_of(actor, resource, systems)
                first = found.setdefault(kind, actor)
                # Whom a client can ask for and book: not by which participant happens to come first.
                if first is not actor and kind == PRACTITIONER and identity(first) is None and identity(actor):
                    found[kind] = actor
        if declined:
            actors = declined | actors
        self.uhid: str | None = None
        if asked is not None:
            self._turn_to(asked, actors)
        self.patient = actors.get(PATIENT)
        self.practitioner = actors.get(PRACTITIONER)
        self.facility = actors.get(LOCATION)
        self.extensions: dict[str | None, Resource] = {}
        for extension in resource.get("extension", ()):
            self.extensions.setdefault(extension.get("url"), extension)

    def _turn_to(self, asked: Asked, actors: dict[str | None, Resource]) -> None:
        """Let whoever is asked for take the place of the first of their kind."""
        found: dict[str | None, Resource] = {}
        # Two Patients may share the UHID that is asked for: who comes goes before who has declined.
        for participant in sorted(self.resource.get("participant", ()), key=_has_declined):
            actor = participant.get("actor")
            if actor is not None:
                kind = kind_of(actor, self.resource, self.systems)
                if kind not in found and asked.names(actor, self.resource, kind, self.systems):
                    found[kind] = actor
        if asked.uhid is not None and PATIENT in found:
            self.uhid = asked.uhid
            found[PATIENT] = by_identifier(found[PATIENT], self.resource, self.known, asked.uhid, self.systems)
        actors |= found

    def actor(self, kind: str) -> Resource | None:
        """Return the actor of that resource type that is shown."""
        return self.patient if kind == PATIENT else self.practitioner if kind == PRACTITIONER else self.facility

    def again(self) -> Reading:
        """Look through the resource once more, after it was changed."""
        return Reading(self.resource, self.systems, self.vocabulary, self.known)
