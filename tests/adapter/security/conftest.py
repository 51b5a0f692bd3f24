"""A clock that a test can move, beside the shared database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

Database = AsyncDatabase[dict[str, Any]]


class Clock:
    """Stands at one moment until it is moved."""

    def __init__(self) -> None:
        self.moment = datetime(2024, 1, 15, 10, 0, 0, 250_000, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def move(self, **by: float) -> None:
        self.moment += timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()
