"""Clients who book, hold, confirm, cancel, move and read through every door, and write down each call.

A calendar is one practitioner with a handful of times, worked on by one team of clients for a while: so every
calendar's history is short enough to be judged, and busy enough to be worth it. Its time has one of four forms: slots
are published, which are booked by name or by time; slots have room for two (group visits); openings are computed from
weekly hours, and found by `$find`; or there is nothing of all that, so any span of minutes may be asked for.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import httpx

from adapter import clock
from adapter.scheduling.occupancy import CAPACITY
from tests.linearizability.cluster import KEY
from tests.linearizability.history import BOOKED, CANCELLED, HELD, PROPOSED, Kind, Op, Outcome, Shown

HOLD_SECONDS = 4
PATIENCE = 40.0
"""Seconds after which a client gives up; the service answers long before."""

FIRST = datetime(2031, 1, 6, 8, tzinfo=UTC)
BOOK = "/api/v1/appointments/"
FHIR = "/fhir/R4"
EXTENSIONS = "https://mediloop.co/fhir/StructureDefinition"
OVER = {"X-Overbook-Reason": "Must be seen"}
_SLOT_MINUTES, _UNIT_MINUTES = 15, 5

Form = Literal["slots", "group", "hours", "spans"]
FORMS: tuple[Form, ...] = ("slots", "spans", "hours", "group")
_UNITS: dict[Form, int] = {"slots": 8, "group": 4, "hours": 8, "spans": 24}

_WHOM = {"name": "patient-reference", "valueReference": {"reference": "Patient/anybody"}}
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
        form: where its time comes from. Slots, and computed openings, are one for each unit.
        made: the appointments of which the clients know the id, by tag.
        booked: the tags of those that were never a proposal: they may be moved.
        held: the tags of holds that nobody has tried to confirm yet.
        over: the tags of those that were made as bookings over others.
    """

    name: str
    form: Form = "slots"
    made: dict[str, str] = field(default_factory=dict)
    booked: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    over: set[str] = field(default_factory=set)

    @property
    def units(self) -> int:
        """How many units there are."""
        return _UNITS[self.form]

    @property
    def slotted(self) -> bool:
        """Whether its time is made of slots, stored or computed."""
        return self.form != "spans"

    @property
    def room(self) -> int:
        """How many may hold one unit."""
        return 2 if self.form == "group" else 1

    def at(self, unit: int) -> str:
        """Return the moment at which a unit begins."""
        return clock.text(FIRST + timedelta(minutes=unit * (_SLOT_MINUTES if self.slotted else _UNIT_MINUTES)))

    def unit(self, moment: str) -> int:
        """Return the unit that begins at a moment."""
        minutes = (datetime.fromisoformat(moment) - FIRST) / timedelta(minutes=1)
        return round(minutes / (_SLOT_MINUTES if self.slotted else _UNIT_MINUTES))

    def slots(self, low: int, high: int) -> list[str]:
        """Return the ids of the slots of units."""
        if self.form == "hours":
            moments = [FIRST + timedelta(minutes=unit * _SLOT_MINUTES) for unit in range(low, high)]
            return [f"{self.name}.{moment:%Y%m%dT%H%MZ}.{_SLOT_MINUTES}" for moment in moments]
        return [f"{self.name}-{unit}" for unit in range(low, high)] if self.slotted else []

    def resources(self) -> list[dict[str, Any]]:
        """Return what is to be stored for it."""
        found: list[dict[str, Any]] = [{"resourceType": "Practitioner", "id": self.name, "active": True}]
        if not self.slotted:
            return found
        actor = [{"reference": f"Practitioner/{self.name}"}]
        schedule: dict[str, Any] = {"resourceType": "Schedule", "id": self.name, "active": True, "actor": actor}
        found.append(schedule)
        if self.form == "hours":
            schedule["extension"] = self._hours()
            return found
        for unit, ident in enumerate(self.slots(0, self.units)):
            slot: dict[str, Any] = {
                "resourceType": "Slot",
                "id": ident,
                "schedule": {"reference": f"Schedule/{self.name}"},
            }
            if self.form == "group":
                slot["extension"] = [{"url": CAPACITY, "valueInteger": self.room}]
            found.append({**slot, "status": "free", "start": self.at(unit), "end": self.at(unit + 1)})
        return found

    def _hours(self) -> list[dict[str, Any]]:
        """Return the weekly hours of which the openings are the units."""
        close = FIRST + timedelta(minutes=self.units * _SLOT_MINUTES)
        times = [
            {"url": "daysOfWeek", "valueCode": f"{FIRST:%a}".lower()},
            {"url": "availableStartTime", "valueTime": f"{FIRST:%H:%M:%S}"},
            {"url": "availableEndTime", "valueTime": f"{close:%H:%M:%S}"},
        ]
        found: dict[str, list[dict[str, Any]]] = {
            "availability": [{"url": "availableTime", "extension": times}],
            "scheduling-parameters": [{"url": "duration", "valuePositiveInt": _SLOT_MINUTES}],
        }
        zone: dict[str, Any] = {"url": "http://hl7.org/fhir/StructureDefinition/timezone", "valueCode": "UTC"}
        return [zone, *({"url": f"{EXTENSIONS}/{name}", "extension": parts} for name, parts in found.items())]


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
        if kind == "book" and calendar.form == "hours" and self._chance.random() < 0.3:
            await self._book_offer(calendar, tag)
        elif kind == "book":
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
        # An opening that somebody has taken is none any more: it is not booked over.
        over = calendar.form != "hours" and self._chance.random() < 0.1
        door = self._chance.choice(["medi", "fhir", "$book"])
        if over:
            calendar.over.add(tag)
            high = low + 1 if calendar.slotted and door == "medi" else high
        path = BOOK
        if door == "medi":
            content = _visit(calendar, tag, low, high)
            if calendar.slotted and high - low == 1 and (over or self._chance.random() < 0.5):
                content["slot_id"] = calendar.slots(low, high)[0]
        else:
            path = f"{FHIR}/Appointment{'/$book' if door == '$book' else ''}"
            content = _appointment(calendar, tag, low, high, "booked")
            if not over and self._chance.random() < 0.5:
                content.pop("slot", None)  # free ones are looked for
            if over and door == "fhir":
                content["extension"] = [{"url": f"{EXTENSIONS}/overbooked", "valueString": "Must be seen"}]
            elif over:
                content = _parameters(
                    {"name": "appointment-resource", "resource": content},
                    {"name": "overbook", "valueString": "Must be seen"},
                )
        answer = await self._call("book", calendar, tag, ("POST", path, content), door, low=low, high=high, over=over)
        if answer is not None:
            calendar.made[tag] = _stored(answer)["id"]
            calendar.booked.append(tag)

    async def _book_offer(self, calendar: Calendar, tag: str) -> None:
        """Have openings proposed, then hold one or book it, by its reference: what is stored bears that id."""
        offers = _items(await self.find(calendar, f"{tag}f") or {})
        if not offers:
            return
        offer = self._chance.choice(offers)
        ident, low = offer["id"], calendar.unit(offer["start"])
        if self._chance.random() < 0.5:
            named = {"name": "appointment-reference", "valueReference": {"reference": f"Appointment/{ident}"}}
            sent = "POST", f"{FHIR}/Appointment/$book", _parameters(named, _WHOM)
            if await self._call("book", calendar, tag, sent, "$book", of=ident, low=low, high=low + 1):
                calendar.made[ident] = ident
                calendar.booked.append(ident)
        else:
            await self._hold_known(calendar, tag, ident, ident, low, low + 1)

    async def _hold(self, calendar: Calendar, tag: str, low: int, high: int) -> None:
        """Propose, which takes no time; then hold what is proposed."""
        proposed = _appointment(calendar, tag, low, high, "proposed")
        sent = "POST", f"{FHIR}/Appointment", proposed
        answer = await self._call("propose", calendar, tag, sent, "fhir", low=low, high=high)
        if answer is None:
            return
        calendar.made[tag] = answer["id"]
        await self._hold_known(calendar, f"{tag}h", tag, answer["id"], low, high)

    async def _hold_known(self, calendar: Calendar, name: str, tag: str, ident: str, low: int, high: int) -> None:
        sent = "POST", f"{FHIR}/Appointment/{ident}/$hold", _parameters()
        until = time.time() + HOLD_SECONDS
        if await self._call("hold", calendar, name, sent, "$hold", of=tag, low=low, high=high, until=until):
            calendar.made[tag] = ident
            calendar.held.append(tag)

    async def _confirm(self, calendar: Calendar, tag: str) -> None:
        held = calendar.held.pop(self._chance.randrange(len(calendar.held)))
        sent = "POST", f"{FHIR}/Appointment/{calendar.made[held]}/$book", _parameters(_WHOM)
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
        """Move; what was made over others by MediLoop alone, over others again or, from then on, as an ordinary one."""
        ident, over = calendar.made[of], False
        if of in calendar.over or self._chance.random() < 0.5:
            over = of in calendar.over and self._chance.random() < 0.5
            high = low + 1 if over and calendar.slotted else high
            times = {"new_start_time": calendar.at(low), "new_end_time": calendar.at(high)}
            if over and calendar.slotted:
                times["new_slot_id"] = calendar.slots(low, high)[0]
            sent: tuple[str, str, Any] = "POST", f"{BOOK}{ident}/reschedule/", times
            door = "medi"
        else:
            parameters = [
                {"name": "start", "valueInstant": calendar.at(low)},
                {"name": "end", "valueInstant": calendar.at(high)},
            ]
            body = {"resourceType": "Parameters", "parameter": parameters}
            sent, door = ("POST", f"{FHIR}/Appointment/{ident}/$reschedule", body), "$reschedule"
        await self._call("move", calendar, tag, sent, door, of=of, low=low, high=high, over=over)

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
        if kind == "free" and (calendar.form == "hours" or self._chance.random() < 0.3) and door == "fhir":
            return await self.find(calendar, tag) is not None
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

    async def find(self, calendar: Calendar, tag: str) -> Any:
        """Have every free unit proposed."""
        day = FIRST.date()
        wanted = {"start": day.isoformat(), "end": day.isoformat(), "practitioner": calendar.name, "_count": "100"}
        sent = "GET", f"{FHIR}/Appointment/$find", wanted
        return await self._call("free", calendar, tag, sent, "$find", high=calendar.units)

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
        over: bool = False,
        until: float | None = None,
    ) -> Any:
        """Make a call and write it down; return the content of an answer of success, else None."""
        place = self._chance.randrange(len(self._https))
        method, path, content = sent
        given: dict[str, Any] = {"params": content} if method == "GET" else {"json": content}
        if over and door == "medi":
            given["headers"] = OVER
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
            free = tuple(sorted(calendar.unit(item.get("start_time") or item["start"]) for item in _items(found)))
        elif outcome == "ok" and kind == "hold":
            until = _until(_stored(found))
        elif outcome == "refused":
            until = None
        self._ledger.ops.append(
            Op(
                tag, calendar.name, kind, start, end, outcome,
                tag=of, low=low, high=high, over=over, room=calendar.room, shown=shown, free=free, until=until,
                via=f"{door} s{place}", status=status,
            )
        )  # fmt: skip
        return found if outcome == "ok" else None

    def _expect(self, answer: httpx.Response, statuses: tuple[int, ...], what: str) -> None:
        if answer.status_code not in statuses:
            self._ledger.strange.append(f"{what}: {answer.status_code} {answer.text[:300]}")


def _parameters(*given: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Parameters", **({"parameter": list(given)} if given else {})}


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
    entries = content.get("entry", ())
    return [entry["resource"] for entry in entries if entry.get("search", {}).get("mode", "match") == "match"]


def _until(appointment: dict[str, Any]) -> float:
    [moment] = [one["valueInstant"] for one in appointment["extension"] if one["url"].endswith("/hold-expires")]
    return datetime.fromisoformat(moment).timestamp()


def shown_of(calendar: Calendar, item: dict[str, Any]) -> Shown | None:
    """Return an appointment as a door shows it; None for a proposal, which holds nothing."""
    state = _STATES.get(item["status"])
    if state is None:
        return None
    if item.get("resourceType") == "Appointment":
        tag = item["reasonCode"][0]["text"] if "reasonCode" in item else item["id"]
        over = any(one["url"] == f"{EXTENSIONS}/overbooked" for one in item.get("extension", ()))
        return Shown(tag, state, calendar.unit(item["start"]), calendar.unit(item["end"]), over)
    low, high = calendar.unit(item["start_time"]), calendar.unit(item["end_time"])
    return Shown(item["reason_text"] or item["id"], state, low, high, None)
