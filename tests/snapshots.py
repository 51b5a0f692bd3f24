"""What a test finds stored: nothing, or what was made once and is written again (documents, not through the rules)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.read_concern import ReadConcern

Raw = MongoClient[RawBSONDocument]


def filled(names: Sequence[str]) -> list[dict[str, Any]]:
    """What asks the first of these collections for the names of all that have any documents, as most tests fill few.

    By the numbers that MongoDB keeps: who looks for a document passes all that the tests before have removed.
    """

    def one_of(name: str) -> list[dict[str, Any]]:
        return [
            {"$collStats": {"count": {}}},
            {"$match": {"count": {"$gt": 0}}},
            {"$project": {"_id": 0, "name": {"$literal": name}}},
        ]

    first, *others = names
    return one_of(first) + [{"$unionWith": {"coll": name, "pipeline": one_of(name)}} for name in others]


REMOVING = "_id_"
"""The index by which all documents are removed: most ids come again, so that few places of removed ones are passed."""


def clear(uri: str, names: Sequence[str]) -> None:
    """Remove all documents of some databases; their indexes, which take seconds to make, stay."""
    with Raw(uri, document_class=RawBSONDocument) as client:
        for name in names:
            if collections := client[name].list_collection_names():
                which = client[name].get_collection(collections[0], read_concern=ReadConcern("local"))
                for found in which.aggregate(filled(collections)):
                    client[name][found["name"]].delete_many({}, hint=REMOVING)


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
