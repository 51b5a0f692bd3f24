"""What the store reports; the doors turn these into answers of their own shape."""

from __future__ import annotations


class StoreError(Exception):
    """Base of all."""


class Unfit(StoreError):
    """The MongoDB server cannot do what is asked of it: what it lacks, and the remedy, is in the text."""


class Clash(StoreError):
    """What is to be written cannot be stored beside what is there.

    Attributes:
        name: what of it (``Appointment/x``); None where that is not known.
    """

    def __init__(self, text: str, name: str | None = None) -> None:
        super().__init__(text)
        self.name = name


class AlreadyExists(Clash):
    """A resource of that type and id is stored already."""


class NotUnique(Clash):
    """Another resource carries an identifier that may be carried only once."""


class Oversized(StoreError):
    """What is to be written is more than MongoDB takes in one document, or in one transaction."""


class Unreachable(StoreError):
    """MongoDB did not answer within the bound; what was asked may or may not have been done."""
