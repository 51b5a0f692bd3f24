"""What translating and checking go by: the settings and the tables alone, of a service or without one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from adapter.settings import Settings
from mappings.systems import Systems
from mappings.vocabulary import Vocabulary


class Means(Protocol):
    """What is needed of a service: its settings and tables. A `Service` has them."""

    @property
    def settings(self) -> Settings:
        """As read at the start."""

    @property
    def systems(self) -> Systems:
        """The canonical URLs."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The code tables."""


@dataclass(frozen=True, slots=True)
class Tables:
    """Means of who has no service: a process that only checks, say."""

    settings: Settings
    systems: Systems
    vocabulary: Vocabulary
