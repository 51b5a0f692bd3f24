"""The export before: what ``--since`` names, and whether the next one goes on from it.

An increment tells what changed, and nothing else. So the two are whole together only where the one before held whatever
the next one would, and told it by the same names: what it left out would be in neither of them, without a word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from adapter.export.folder import NotUsable, opened
from store.dates import as_instant, in_utc


@dataclass(frozen=True, slots=True)
class Before:
    """What an export goes on from.

    Attributes:
        moment: what changed then or later is told.
        place: the manifest that says so; an instant that was given says it itself.
        options: what decided over the content of the export before. Those that are not known hinder nothing: of an
            instant there are none, and none in a manifest of ``$export``.
    """

    moment: datetime
    place: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def require(self, options: Mapping[str, Any]) -> None:
        """Refuse an export that does not go on from this one.

        Raises:
            NotUsable: with the difference, and what to do.
        """
        database = self._given("database", options)
        if database != options["database"]:
            text = f"--since {self.place} is of the database {database}, this export of {options['database']}"
            raise NotUsable(f"{text}: check --mode.")
        why = self._pseudonyms(options) or self._types(options) or self._filters(options)
        if why is not None:
            raise NotUsable(f"--since {self.place} {why}, or give the instant: --since {as_instant(self.moment)}.")

    def _given(self, name: str, options: Mapping[str, Any]) -> Any:
        return self.options.get(name, options[name])

    def _pseudonyms(self, options: Mapping[str, Any]) -> str | None:
        before, now = self._given("deidentified", options), options["deidentified"]
        if before == now:
            return None
        if before is None:
            return (
                "has no pseudonyms, this export has: they do not join. Leave out --deidentify, export in full with it"
            )
        if now is None:
            return "has pseudonyms, this export has none: they do not join. Give --deidentify and its key"
        return "has the pseudonyms of another key: they do not join. Give that one, export in full with this one"

    def _types(self, options: Mapping[str, Any]) -> str | None:
        known = self._given("types", options)
        new = ", ".join(kind for kind in options["types"] if kind not in known)
        if not new:
            return None
        return (
            f"is of an export without {new}: older ones would be in neither. Leave them out of --type, export in full"
        )

    def _filters(self, options: Mapping[str, Any]) -> str | None:
        before, now = self._given("filters", options), options["filters"]
        if isinstance(before, str) or isinstance(now, str):  # those of a de-identified export are hidden
            wider = ["filters"] if before and before != now else []
        else:
            wider = [_option(name) for name, value in before.items() if not _within(name, value, now.get(name))]
        if not wider:
            return None
        text = f"is of an export with other {', '.join(wider)}: older resources would be in neither"
        return f"{text}. Give the same, export in full"


def read(place: str) -> Before:
    """Return what a manifest says of its export.

    One of ``$export`` says neither whether it is complete (only a finished one is given) nor what it is of.

    Args:
        place: a path, or an address that `fsspec` opens.

    Raises:
        NotUsable: it is of an export that is not finished; nothing opens such an address.
        KeyError, TypeError, ValueError, AttributeError: it is no manifest. OSError: it is not there.
    """
    system, path = opened(place)
    document = orjson.loads(system.cat_file(path))
    own = document.get("extension", {})
    if not own.get("complete", True):
        text = f"The export of --since {place} is not finished: run its command again on its folder first."
        raise NotUsable(text)
    return Before(at(document["transactionTime"]), place, own.get("options", {}))


def at(text: str) -> datetime:
    """Read an instant.

    Raises:
        TypeError, ValueError: it is none.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no offset")
    return in_utc(moment)


_NARROWER: Mapping[str, Callable[[Any, Any], bool]] = {
    "status": lambda before, now: set(now) <= set(before),
    "date_from": lambda before, now: now >= before,  # days in ISO 8601 sort as text
    "date_to": lambda before, now: now <= before,
}


def _within(name: str, before: Any, now: Any) -> bool:
    """Tell whether whatever passes a filter now has passed it before."""
    return now == before or (now is not None and name in _NARROWER and _NARROWER[name](before, now))


def _option(name: str) -> str:
    return "ADAPTER_TIMEZONE" if name == "timezone" else f"--{name.replace('_', '-')}"
