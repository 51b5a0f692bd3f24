"""Pure translation between MediLoop's appointments and FHIR R4 resources.

Nothing here does I/O or knows of a web server or a database. Resources are plain JSON dictionaries, and no
function changes what it is given. `appointment` and `slot` are the two views, `Systems` and `Vocabulary` what
a deployment may set.
"""

from mappings import appointment, instants, slot, uhid
from mappings.elements import Known, Resource
from mappings.systems import DEFAULT_SYSTEMS, Systems
from mappings.vocabulary import ConceptMap, Match, Vocabulary

__all__ = [
    "DEFAULT_SYSTEMS",
    "ConceptMap",
    "Known",
    "Match",
    "Resource",
    "Systems",
    "Vocabulary",
    "appointment",
    "instants",
    "slot",
    "uhid",
]
