"""The MediLoop door: the twelve documented endpoints under ``/api/v1/appointments/``.

It parses, calls `adapter.scheduling`, and shapes answers from the stored FHIR document through `mappings`.
"""
