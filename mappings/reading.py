"""One appointment, looked through once.

`view` runs on every read. What several members need (the three actors, the extensions by URL) is found in
one pass here, and every reader and writer of a member takes the result.
"""

from __future__ import annotations

from mappings.elements import Known, Resource
from mappings.references import LOCATION, PATIENT, PRACTITIONER, kind_of
from mappings.systems import Systems
from mappings.vocabulary import Vocabulary


class Reading:
    """What readers and writers of a member see.

    Attributes:
        resource: the FHIR Appointment. Writers change it in place: `update` hands them a copy of its own.
        systems: canonical URLs.
        vocabulary: code tables.
        known: stored resources by relative reference.
        patient: the actor of the first participant that is a Patient.
        practitioner: likewise, a Practitioner.
        facility: likewise, a Location.
        extensions: the first extension of each URL.
    """

    __slots__ = ("extensions", "facility", "known", "patient", "practitioner", "resource", "systems", "vocabulary")

    def __init__(self, resource: Resource, systems: Systems, vocabulary: Vocabulary, known: Known) -> None:
        self.resource = resource
        self.systems = systems
        self.vocabulary = vocabulary
        self.known = known
        actors: dict[str | None, Resource] = {}
        for participant in resource.get("participant", ()):
            actor = participant.get("actor")
            if actor is not None:
                actors.setdefault(kind_of(actor, resource, systems), actor)
        self.patient = actors.get(PATIENT)
        self.practitioner = actors.get(PRACTITIONER)
        self.facility = actors.get(LOCATION)
        self.extensions: dict[str | None, Resource] = {}
        for extension in resource.get("extension", ()):
            self.extensions.setdefault(extension.get("url"), extension)

    def actor(self, kind: str) -> Resource | None:
        """Return the first actor of that resource type."""
        return self.patient if kind == PATIENT else self.practitioner if kind == PRACTITIONER else self.facility

    def again(self) -> Reading:
        """Look through the resource once more, after it was changed."""
        return Reading(self.resource, self.systems, self.vocabulary, self.known)
