"""What this server says of itself: the CapabilityStatement, the search parameters of our own, and the operations.

All three are made from the declarations that serve the requests (`store.types`, `adapter.fhir.operations`), so that
they cannot claim more than there is; a test calls everything that is claimed.
"""

from __future__ import annotations

from adapter.fhir.conformance.operation_definitions import OPERATION_DEFINITION, operation_definition
from adapter.fhir.conformance.search_parameters import SEARCH_PARAMETER, search_parameter
from adapter.fhir.conformance.statement import capability_statement, metadata

DEFINITIONS = (SEARCH_PARAMETER, OPERATION_DEFINITION)
"""The types of definitions: to be read and searched at their own addresses, and there alone."""

__all__ = [
    "DEFINITIONS",
    "OPERATION_DEFINITION",
    "SEARCH_PARAMETER",
    "capability_statement",
    "metadata",
    "operation_definition",
    "search_parameter",
]
