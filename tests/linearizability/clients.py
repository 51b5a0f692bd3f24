"""Clients who book, hold, confirm, cancel, move and read through every door, and write down each call.

A calendar is one practitioner with a handful of times, worked on by one team of clients for a while: so every
calendar's history is short enough to be judged, and busy enough to be worth it. Two of three have published slots,
which are booked by name or by time; the others have none, so any span of minutes may be asked for.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from adapter import clock
from tests.linearizability.cluster import KEY
from tests.linearizability.history import BOOKED, CANCELLED, HELD, PROPOSED, Kind, Op, Outcome, Shown

HOLD_SECONDS = 4
PATIENCE = 40.0
"""Seconds after which a client gives up; the service answers long before."""

FIRST = datetime(2031, 1, 6, 8, tzinfo=UTC)
BOOK = "/api/v1/appointments/"
FHIR = "/fhir/R4"
_SLOTS, _SLOT_MINUTES = 8, 15
_UNITS, _UNIT_MINUTES = 24, 5

_STATES = {"proposed": PROPOSED, "pending": HELD, "booked": BOOKED, "cancelled": CANCELLED}
_HEADERS = {"Authorization": f"Bearer {KEY}"}
# What is tried, and how often.
_WEIGHTS: dict[Kind, int] = {
    "book": 30,
    "hold": 10,
    "confirm": 9,
    "cancel": 14,
    "move": 12,
    "get": 8,
    "list": 10,
    "free": 7,
}


@dataclass
class Calendar:
    """One practitioner's time, in units.

    Attributes:
        name: of the practitioner.
        slotted: whether slots are published: one for each unit.
        made: the appointments of which the clients know the id, by tag.
        booked: the tags of those that were never a proposal: they may be moved.
        held: the tags of holds that nobody has tried to confirm yet.
    """

    name: str
    slotted: bool
    made: dict[str, str] = field(default_factory=dict)
    booked: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)

    @property
    def units(self) -> int:
        """How many units there are."""
        return _SLOTS if self.slotted else _UNITS

    def at(self, unit: int) -> str:
        """Return the moment at which a unit begins."""
        return clock.text(FIRST + timedelta(minutes=unit * (_SLOT_MINUTES if self.slotted else _UNIT_MINUTES)))

    def unit(self, moment: str) -> int:
        """Return the unit that begins at a moment."""
        minutes = (datetime.fromisoformat(moment) - FIRST) / timedelta(minutes=1)
        return round(minutes / (_SLOT_MINUTES if self.slotted else _UNIT_MINUTES))

    def slots(self, low: int, high: int) -> list[str]:
        """Return the ids of the slots of units."""
        return [f"{self.name}-{unit}" for unit in range(low, high)] if self.slotted else []

    def resources(self) -> list[dict[str, Any]]:
        """Return what is to be stored for it."""
        found: list[dict[str, Any]] = [{"resourceType": "Practitioner", "id": self.name, "active": True}]
        actor = [{"reference": f"Practitioner/{self.name}"}]
        if self.slotted:
            found.append({"resourceType": "Schedule", "id": self.name, "active": True, "actor": actor})
        for unit in range(_SLOTS if self.slotted else 0):
            slot = {
                "resourceType": "Slot",
                "id": f"{self.name}-{unit}",
                "schedule": {"reference": f"Schedule/{self.name}"},
            }
            found.append({**slot, "status": "free", "start": self.at(unit), "end": self.at(unit + 1)})
        return found


async def create(base: str, calendars: list[Calendar], at_once: int = 20) -> None:
    """Store calendars."""
    async with httpx.AsyncClient(base_url=base, headers=_HEADERS, timeout=PATIENCE, trust_env=False) as http:
        for first in range(0, len(calendars), at_once):
            entries = [
                {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}}
                for calendar in calendars[first : first + at_once]
                for one in calendar.resources()
            ]
            bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
            answer = await http.post(FHIR, json=bundle)
            assert answer.status_code == 200, answer.text[:500]


@dataclass
class Ledger:
    """Everything that was asked and answered."""

    ops: list[Op] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)

    def seconds(self) -> list[float]:
        """Return how long the calls took that were answered."""
        return [op.end - op.start for op in self.ops if op.end is not None and op.status]


class Client:
    """One who calls, one call at a time; each call goes to one of the service processes."""

    def __init__(self, name: str, bases: list[str], chance: random.Random, ledger: Ledger) -> None:
        self._name = name
        self._chance = chance
        self._ledger = ledger
        self._count = 0
        limits = httpx.Limits(max_connections=1, keepalive_expiry=2)
        self._https = [
            httpx.AsyncClient(base_url=base, headers=_HEADERS, timeout=PATIENCE, limits=limits, trust_env=False)
            for base in bases
        ]

    async def close(self) -> None:
        """Close the connections."""
        for http in self._https:
            await http.aclose()

    async def work(self, calendar: Calendar, enough: Callable[[], bool]) -> None:
        """Call until it is enough."""
        while not enough():
            [kind] = self._chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
            await self.act(calendar, kind)
            await asyncio.sleep(self._chance.random() * 0.05)

    async def act(self, calendar: Calendar, kind: Kind) -> None:
        """Make one call, of another kind where there is nothing for this one."""
        if (kind == "move" and not calendar.booked) or (kind in ("cancel", "get") and not calendar.made):
            kind = "book"
        if kind == "confirm" and not calendar.held:
            kind = "hold"
        self._count += 1
        tag = f"{self._name}.{self._count}"
        low, high = self._span(calendar)
        if kind == "book":
            await self._book(calendar, tag, low, high)
        elif kind == "hold":
            await self._hold(calendar, tag, low, high)
        elif kind == "confirm":
            await self._confirm(calendar, tag)
        elif kind in ("list", "free"):
            await self.read(calendar, kind, tag)
        else:
            of = self._chance.choice(calendar.booked if kind == "move" else list(calendar.made))
            if kind == "get":
                await self.get(calendar, tag, of)
            elif kind == "cancel":
                await self._cancel(calendar, tag, of)
            else:
                await self._move(calendar, tag, of, low, high)

    def _span(self, calendar: Calendar) -> tuple[int, int]:
        longest = 2 if calendar.slotted else 9
        length = self._chance.randint(1 if calendar.slotted else 3, longest)
        low = self._chance.randint(0, calendar.units - length)
        return low, low + length

    # Changes.

    async def _book(self, calendar: Calendar, tag: str, low: int, high: int) -> None:
        door = self._chance.choice(["medi", "fhir", "$book"])
        if door == "medi":
            body = _visit(calendar, tag, low, high)
            if calendar.slotted and high - low == 1 and self._chance.random() < 0.5:
                body["slot_id"] = calendar.slots(low, high)[0]
            sent = "POST", BOOK, body
        else:
            appointment = _appointment(calendar, tag, low, high, "booked")
            if self._chance.random() < 0.5:
                appointment.pop("slot", None)  # free ones are looked for
            sent = "POST", f"{FHIR}/Appointment{'/$book' if door == '$book' else ''}", appointment
        answer = await self._call("book", calendar, tag, sent, door, low=low, high=high)
        if answer is not None:
            calendar.made[tag] = _stored(answer)["id"]
            calendar.booked.append(tag)

    async def _hold(self, calendar: Calendar, tag: str, low: int, high: int) -> None:
        """Propose, which takes no time; then hold what is proposed."""
        proposed = _appointment(calendar, tag, low, high, "proposed")
        sent = "POST", f"{FHIR}/Appointment", proposed
        answer = await self._call("propose", calendar, tag, sent, "fhir", low=low, high=high)
        if answer is None:
            return
        calendar.made[tag] = answer["id"]
        sent = "POST", f"{FHIR}/Appointment/{answer['id']}/$hold", {"resourceType": "Parameters"}
        until = time.time() + HOLD_SECONDS
        if await self._call("hold", calendar, f"{tag}h", sent, "$hold", of=tag, low=low, high=high, until=until):
            calendar.held.append(tag)

    async def _confirm(self, calendar: Calendar, tag: str) -> None:
        held = calendar.held.pop(self._chance.randrange(len(calendar.held)))
        sent = "POST", f"{FHIR}/Appointment/{calendar.made[held]}/$book", {"resourceType": "Parameters"}
        await self._call("confirm", calendar, tag, sent, "$book", of=held)

    async def _cancel(self, calendar: Calendar, tag: str, of: str) -> None:
        ident = calendar.made[of]
        if self._chance.random() < 0.5:
            sent = "POST", f"{BOOK}{ident}/cancel/", {"cancellation_reason_code": "patient-request"}
            await self._call("cancel", calendar, tag, sent, "medi", of=of)
        else:
            sent = "POST", f"{FHIR}/Appointment/{ident}/$cancel", {"resourceType": "Parameters"}
            await self._call("cancel", calendar, tag, sent, "$cancel", of=of)

    async def _move(self, calendar: Calendar, tag: str, of: str, low: int, high: int) -> None:
        ident = calendar.made[of]
        if self._chance.random() < 0.5:
            times = {"new_start_time": calendar.at(low), "new_end_time": calendar.at(high)}
            sent: tuple[str, str, Any] = "POST", f"{BOOK}{ident}/reschedule/", times
            door = "medi"
        else:
            parameters = [
                {"name": "start", "valueInstant": calendar.at(low)},
                {"name": "end", "valueInstant": calendar.at(high)},
            ]
            body = {"resourceType": "Parameters", "parameter": parameters}
            sent, door = ("POST", f"{FHIR}/Appointment/{ident}/$reschedule", body), "$reschedule"
        await self._call("move", calendar, tag, sent, door, of=of, low=low, high=high)

    # Reads.

    async def get(self, calendar: Calendar, tag: str, of: str) -> bool:
        """Read one appointment; tell whether that was answered."""
        ident = calendar.made[of]
        door = self._chance.choice(["medi", "fhir"])
        path = f"{BOOK}{ident}/" if door == "medi" else f"{FHIR}/Appointment/{ident}"
        answer = await self._call("get", calendar, tag, ("GET", path, None), door, of=of)
        return answer is not None

    async def read(self, calendar: Calendar, kind: Kind, tag: str) -> bool:
        """Read a list of appointments, or of free slots; tell whether that was answered."""
        if not calendar.slotted:
            kind = "list"
        door = self._chance.choice(["medi", "fhir"])
        if kind == "list":
            wanted = {"status": "pending,booked"}
            if door == "medi":
                path, wanted = (
                    f"{BOOK}by-practitioner/",
                    wanted | {"practitioner_id": calendar.name, "page_size": "100"},
                )
            else:
                path, wanted = (
                    f"{FHIR}/Appointment",
                    wanted | {"actor": f"Practitioner/{calendar.name}", "_count": "100"},
                )
        elif door == "medi":
            day = FIRST.date().isoformat()
            path, wanted = f"{BOOK}availability/", {"practitioner_id": calendar.name, "page_size": "100"}
            wanted |= {"date_from": day, "date_to": day}
        else:
            path, wanted = f"{FHIR}/Slot", {"schedule": f"Schedule/{calendar.name}", "status": "free", "_count": "100"}
        answer = await self._call(kind, calendar, tag, ("GET", path, wanted), door, high=calendar.units)
        return answer is not None

    # One call.

    async def _call(
        self,
        kind: Kind,
        calendar: Calendar,
        tag: str,
        sent: tuple[str, str, Any],
        door: str,
        *,
        of: str = "",
        low: int = 0,
        high: int = 0,
        until: float | None = None,
    ) -> Any:
        """Make a call and write it down; return the content of an answer of success, else None."""
        place = self._chance.randrange(len(self._https))
        method, path, content = sent
        given: dict[str, Any] = {"params": content} if method == "GET" else {"json": content}
        start = time.time()
        status = 0
        found: Any = None
        try:
            answer = await self._https[place].request(method, path, **given)
            status = answer.status_code
            self._expect(answer, (200, 201, 404, 409, 410, 422, 503), f"{tag} {kind} {path}")
            found = answer.json() if answer.content else None
        except httpx.ConnectError:
            await asyncio.sleep(0.1)
            return None  # nobody listens: it was never sent
        except httpx.TransportError:
            pass
        end = time.time()
        outcome: Outcome = "ok" if 200 <= status < 300 else "unknown" if status == 0 or status >= 500 else "refused"
        shown: tuple[Shown, ...] = ()
        free: tuple[int, ...] = ()
        if kind == "get" and outcome == "refused":
            outcome = "ok"
        elif outcome == "ok" and kind == "get":
            shown = tuple(one for one in (shown_of(calendar, found),) if one is not None)
        elif outcome == "ok" and kind == "list":
            shown = tuple(one for one in (shown_of(calendar, item) for item in _items(found)) if one is not None)
        elif outcome == "ok" and kind == "free":
            free = tuple(sorted(int(str(item["id"]).rpartition("-")[2]) for item in _items(found)))
        elif outcome == "ok" and kind == "hold":
            until = _until(_stored(found))
        elif outcome == "refused":
            until = None
        self._ledger.ops.append(
            Op(
                tag, calendar.name, kind, start, end, outcome,
                tag=of, low=low, high=high, shown=shown, free=free, until=until, via=f"{door} s{place}", status=status,
            )
        )  # fmt: skip
        return found if outcome == "ok" else None

    def _expect(self, answer: httpx.Response, statuses: tuple[int, ...], what: str) -> None:
        if answer.status_code not in statuses:
            self._ledger.strange.append(f"{what}: {answer.status_code} {answer.text[:300]}")


def _visit(calendar: Calendar, tag: str, low: int, high: int) -> dict[str, Any]:
    return {
        "patient_uhid": "UG123456789A",
        "service_type_code": "consultation",
        "practitioner_id": calendar.name,
        "start_time": calendar.at(low),
        "end_time": calendar.at(high),
        "reason_text": tag,
    }


def _appointment(calendar: Calendar, tag: str, low: int, high: int, status: str) -> dict[str, Any]:
    actors = [{"reference": f"Practitioner/{calendar.name}"}, {"display": "A patient"}]
    found = {
        "resourceType": "Appointment",
        "status": status,
        "start": calendar.at(low),
        "end": calendar.at(high),
        "slot": [{"reference": f"Slot/{ident}"} for ident in calendar.slots(low, high)],
        "reasonCode": [{"text": tag}],
        "participant": [{"actor": actor, "status": "accepted"} for actor in actors],
    }
    if not calendar.slotted:
        del found["slot"]  # FHIR knows no empty lists
    return found


def _stored(content: dict[str, Any]) -> dict[str, Any]:
    """Return the appointment of an answer: itself, or the one in a Bundle."""
    found: dict[str, Any] = content["entry"][0]["resource"] if content.get("resourceType") == "Bundle" else content
    return found


def _items(content: dict[str, Any]) -> list[dict[str, Any]]:
    if "results" in content:
        found: list[dict[str, Any]] = content["results"]
        return found
    return [entry["resource"] for entry in content.get("entry", ()) if entry["search"]["mode"] == "match"]


def _until(appointment: dict[str, Any]) -> float:
    [moment] = [one["valueInstant"] for one in appointment["extension"] if one["url"].endswith("/hold-expires")]
    return datetime.fromisoformat(moment).timestamp()


def shown_of(calendar: Calendar, item: dict[str, Any]) -> Shown | None:
    """Return an appointment as a door shows it; None for a proposal, which holds nothing."""
    state = _STATES.get(item["status"])
    if state is None:
        return None
    if item.get("resourceType") == "Appointment":
        return Shown(item["reasonCode"][0]["text"], state, calendar.unit(item["start"]), calendar.unit(item["end"]))
    return Shown(item["reason_text"], state, calendar.unit(item["start_time"]), calendar.unit(item["end_time"]))
