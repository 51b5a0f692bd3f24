"""The store of these tests: the one of the store's own tests, with the service's rules."""

from __future__ import annotations

from tests.store.conftest import prepared, store

__all__ = ["prepared", "store"]
