"""The MediLoop FHIR adapter: one appointment, two APIs, nothing lost, nothing booked twice.

This package holds the doors (``mediloop``, ``fhir``), the rules about time between them (``scheduling``),
keys and limits (``security``), and what starts and runs the service.
"""

__version__ = "0.1.0"
