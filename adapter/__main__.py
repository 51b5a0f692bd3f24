"""Lets ``python -m adapter`` stand for ``mediloop-fhir``."""

from adapter.cli import main

main()
