"""FHIR search over the stored documents: parameters to queries of MongoDB, matches to pages.

https://hl7.org/fhir/R4/search.html. `parse` reads parameters without the database, `run` carries the search out through
a `store.source.Source`, so that it sees what a transaction sees where it runs in one. `matches` is for conditional
interactions. Nothing here decodes a resource: queries and includes work on `_index`, pages hold the stored bytes.
"""

from store.search.model import Entry, Note, Page, Reading, Search, SearchRefused
from store.search.names import modifiers
from store.search.parsing import parse
from store.search.running import compiled, matches, run

__all__ = [
    "Entry",
    "Note",
    "Page",
    "Reading",
    "Search",
    "SearchRefused",
    "compiled",
    "matches",
    "modifiers",
    "parse",
    "run",
]
