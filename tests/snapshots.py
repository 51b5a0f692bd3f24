"""What a test finds stored: nothing, or what was made once and is written again (documents, not through the rules)."""

from __future__ import annotations

from collections.abc import Sequence

from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient

Raw = MongoClient[RawBSONDocument]


def clear(uri: str, names: Sequence[str]) -> None:
    """Remove all documents of some databases; their indexes, which take seconds to make, stay."""
    with Raw(uri, document_class=RawBSONDocument) as client:
        for name in names:
            for collection in client[name].list_collection_names():
                client[name][collection].delete_many({})


class Snapshot:
    """Everything in some databases of the run's MongoDB, as it was when this was made."""

    def __init__(self, uri: str, names: Sequence[str]) -> None:
        self._uri = uri
        with Raw(uri, document_class=RawBSONDocument) as client:
            self._found = {
                (name, collection): documents
                for name in names
                for collection in client[name].list_collection_names()
                if (documents := list(client[name][collection].find()))
            }

    def restore(self) -> None:
        """Write all of it again; what was written since must be gone."""
        with Raw(self._uri, document_class=RawBSONDocument) as client:
            for (name, collection), documents in self._found.items():
                client[name][collection].insert_many(documents)
