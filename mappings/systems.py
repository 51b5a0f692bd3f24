"""The canonical URLs of a deployment.

They live in one value that every mapping takes, because a hospital that already has its own naming must be
able to use it without touching a mapping (defaults are under
``https://mediloop.co/fhir``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BASE = "https://mediloop.co/fhir"


@dataclass(frozen=True, slots=True)
class Systems:
    """Where MediLoop's identifiers, codes and extensions are named.

    Attributes:
        uhid: identifier system of the UHID; the only one that is written.
        uhid_aliases: further systems under which a UHID is accepted when read.
        appointment_number: identifier system of ``APT-<year>-<six digits>``.
        service_type: code system of MediLoop's service types.
        specialty: code system of MediLoop's specialties.
        cancellation_reason: code system of MediLoop's cancellation reasons.
        extensions: base of our StructureDefinition canonicals, without a closing slash.
    """

    uhid: str
    uhid_aliases: tuple[str, ...]
    appointment_number: str
    service_type: str
    specialty: str
    cancellation_reason: str
    extensions: str

    @classmethod
    def under(cls, base: str = BASE, *, uhid: str | None = None, uhid_aliases: Sequence[str] = ()) -> Systems:
        """Return the systems of a deployment whose canonicals start with `base`.

        Args:
            base: an absolute URL; a closing slash is cut off.
            uhid: the UHID system, where it is not ``<base>/sid/uhid``.
            uhid_aliases: further UHID systems that are accepted when read.
        """
        base = base.rstrip("/")
        return cls(
            uhid=uhid or f"{base}/sid/uhid",
            uhid_aliases=tuple(uhid_aliases),
            appointment_number=f"{base}/sid/appointment-number",
            service_type=f"{base}/CodeSystem/service-type",
            specialty=f"{base}/CodeSystem/specialty",
            cancellation_reason=f"{base}/CodeSystem/cancellation-reason",
            extensions=f"{base}/StructureDefinition",
        )

    @property
    def all_uhid(self) -> tuple[str, ...]:
        """Every system under which a UHID is accepted, the one that is written first."""
        return (self.uhid, *self.uhid_aliases)


DEFAULT_SYSTEMS = Systems.under()
