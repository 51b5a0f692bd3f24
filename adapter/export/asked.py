"""Whom and where the filters of ``mediloop-fhir export`` ask for, as documents may name them.

The same goes into the queries (`adapter.export.filters`) and into the rows of tables (`adapter.export.columns`): of
several practitioners, places and patients, a row shows the one that is asked for, as MediLoop's lists do
(`adapter.mediloop.asked`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

# An export without filters begins faster without.
if TYPE_CHECKING:
    from adapter.export.deidentify import Deidentifier
    from mappings import references


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom and where an export asks for; what is None does not matter.

    Attributes:
        practitioner: as a reference (``Practitioner/p``).
        roles: the practitioner's PractitionerRoles at the cut, as references.
        facility: as a reference.
        uhid: of the patient, normalised.
        patients: the Patients with that UHID at the cut, as references.
        further: the other UHIDs that mean one of them where nothing else is said (`adapter.uhids.meaning`).
    """

    practitioner: str | None = None
    roles: tuple[str, ...] = ()
    facility: str | None = None
    uhid: str | None = None
    patients: tuple[str, ...] = ()
    further: tuple[str, ...] = ()

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """For the practitioner and the facility, the references of which a document names one."""
        practitioner = () if self.practitioner is None else ((self.practitioner, *self.roles),)
        return practitioner if self.facility is None else (*practitioner, (self.facility,))

    @property
    def standing(self) -> dict[str, str]:
        """Whom the practitioner's roles stand for (`adapter.mediloop.actors.as_shown`)."""
        return {} if self.practitioner is None else dict.fromkeys(self.roles, self.practitioner)

    @property
    def shown(self) -> references.Asked | None:
        """Whom the rows are to show; None where nobody is asked for, and they show the first of each kind."""
        from mappings import references

        if self.practitioner is None and self.facility is None and self.uhid is None:
            return None
        patients, further = frozenset(self.patients), frozenset(self.further)
        return references.Asked(self.uhid, patients, self.practitioner, self.facility, further)

    def under(self, deidentifier: Deidentifier) -> Asked:
        """Return who that is in resources that are de-identified."""
        name = deidentifier.name
        return replace(
            self,
            practitioner=None if self.practitioner is None else name(self.practitioner),
            roles=tuple(map(name, self.roles)),
            facility=None if self.facility is None else name(self.facility),
            uhid=None if self.uhid is None else deidentifier.uhid(self.uhid),
            patients=tuple(map(name, self.patients)),
            further=tuple(map(deidentifier.uhid, self.further)),
        )


NOBODY = Asked()
