"""Data out: the export that FHIR clients ask for, and what the command line shares with it."""
