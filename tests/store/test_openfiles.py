"""How many files a process may open."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from store.openfiles import take_all

FILES = resource.RLIMIT_NOFILE


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leave the limits of the test process as they are."""
    before = resource.getrlimit(FILES)
    yield
    resource.setrlimit(FILES, before)


def test_a_process_takes_as_many_as_it_may_have() -> None:
    _, most = resource.getrlimit(FILES)
    resource.setrlimit(FILES, (most - 1, most))
    assert take_all() == most
    assert resource.getrlimit(FILES) == (most, most)


@pytest.mark.parametrize("refusal", [ValueError, OSError])
def test_where_the_system_grants_no_more_what_there_is_is_told(
    monkeypatch: pytest.MonkeyPatch, refusal: type[Exception]
) -> None:
    """It may grant fewer than the limit that it names, as where that is above the bound of all processes."""

    def refuse(*_: object) -> None:
        raise refusal

    _, most = resource.getrlimit(FILES)
    resource.setrlimit(FILES, (most - 1, most))
    with monkeypatch.context() as patch:
        patch.setattr(resource, "setrlimit", refuse)
        assert take_all() == most - 1
