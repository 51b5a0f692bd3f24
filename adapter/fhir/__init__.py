"""The FHIR R4 door under ``/fhir/R4``: stored JSON goes out as it is."""
