"""``mediloop-fhir slots``: publish availability."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from itertools import groupby
from typing import Annotated, TypeVar

import typer

from adapter import timezones
from adapter.console.options import AsJson, TestOrLive
from adapter.console.session import fail, out, write
from adapter.fhir.validation import check
from adapter.patience import patiently
from adapter.scheduling import free_slots, hours_writing, publishing, settling
from adapter.scheduling.claimset import Change
from adapter.scheduling.hours import named_zone
from adapter.scheduling.road import decide
from adapter.security.keys import Mode
from adapter.service import Service
from mappings.references import own_name
from store.codec import Resource
from store.store import Store
from store.unit_of_work import UnitOfWork

T = TypeVar("T")

app = typer.Typer(help="Published availability.", no_args_is_help=True)

_LONGEST_RANGE = timedelta(days=731)
_FIRST_YEAR, _LAST_YEAR = 1900, 2999  # as bookings have them


def _text(param: typer.CallbackParam, value: str | None) -> str | None:
    """Return what an option says, without blanks around it.

    Raises:
        BadParameter: it is blank: FHIR has no empty texts, and an empty id names nobody.
    """
    if value is None:
        return None
    if not value.strip():
        raise typer.BadParameter(f"it is blank: give a value{'' if param.required else ', or leave it out'}")
    return value.strip()


def _zone_name(name: str | None) -> str | None:
    if name is not None and named_zone(name) is None:
        raise typer.BadParameter(f"{name} is no time zone of the IANA database: give a name such as Africa/Kampala")
    return name


Practitioner = Annotated[str, typer.Option(callback=_text, help="The practitioner's id; a stored Practitioner.")]
Hours = Annotated[
    str,
    typer.Option(
        help="Weekly hours: 'mon-fri 09:00-12:00,14:00-17:00; sat 09:00-12:00'; 22:00-06:00 ends on the next day."
    ),
]
Facility = Annotated[str | None, typer.Option(callback=_text, help="The facility's id; a stored Location.")]
FirstDay = Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")]
LastDay = Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day, included.")]
ZoneName = Annotated[
    str | None, typer.Option(callback=_zone_name, help="Time zone of the hours. Default: ADAPTER_TIMEZONE.")
]
Specialty = Annotated[str | None, typer.Option(callback=_text, help="Specialty code of the schedule.")]
ServiceType = Annotated[str | None, typer.Option(callback=_text, help="Service type code of the schedule.")]


@app.callback()
def group() -> None:
    """Published availability."""


@app.command()
def generate(
    practitioner: Practitioner,
    hours: Hours,
    first: FirstDay,
    last: LastDay,
    facility: Facility = None,
    length: Annotated[int, typer.Option(min=5, max=1440, help="Minutes of a slot.")] = 30,
    timezone: ZoneName = None,
    specialty: Specialty = None,
    service_type: ServiceType = None,
    mode: TestOrLive = "test",
    as_json: AsJson = False,
) -> None:
    """Publish a practitioner's weekly hours as a Schedule and free Slots; again is harmless.

    A slot that overlaps a published one is left out, and one over appointments that share a time; one over a standing
    appointment is published as held by it.

    [dim]Example:  mediloop-fhir slots generate --practitioner prov-abc-123 --facility fac-xyz-789
    --hours 'mon-fri 09:00-12:00,14:00-17:00' --from 2027-01-04 --to 2027-01-29 --timezone Africa/Kampala[/dim]
    """
    try:
        openings = publishing.parse_hours(hours)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if last < first or last - first > _LONGEST_RANGE:
        raise typer.BadParameter(f"--to must be --from or later, by {_LONGEST_RANGE.days} days at most")
    if first.year < _FIRST_YEAR or last.year > _LAST_YEAR:
        raise typer.BadParameter(f"--from and --to have years from {_FIRST_YEAR} to {_LAST_YEAR}")

    async def work(service: Service) -> tuple[str, int]:
        store = service.stores[mode]
        await _require_stored(service, mode, practitioner, facility)
        codes = {"specialty": specialty, "serviceType": service_type}
        schedule = await _schedule(service, mode, practitioner, facility, codes)
        zone = service.settings.zone if timezone is None else timezones.zone(timezone)
        spans = publishing.spans(openings, length, first.date(), last.date(), zone)
        made = 0
        for _, day in groupby(spans, key=lambda span: span.start.date()):
            slots = [publishing.slot(schedule, span) for span in day]

            async def step(work: UnitOfWork, slots: list[Resource] = slots) -> int:
                return len(await publishing.publish(work, schedule, slots))

            made += await _decided(store, step)
        return schedule["id"], made

    schedule_id, made = write(mode, work)
    if as_json:
        typer.echo(json.dumps({"schedule": schedule_id, "slots_created": made}))
    else:
        out.print(f"Schedule/{schedule_id}: {made} slots made.", markup=False, highlight=False)


@app.command("hours")
def weekly_hours(
    practitioner: Practitioner,
    hours: Hours,
    facility: Facility = None,
    minutes: Annotated[int, typer.Option(min=1, max=1440, help="How long a visit is.")] = 30,
    before: Annotated[int, typer.Option(min=0, max=1440, help="Minutes kept free before a visit.")] = 0,
    after: Annotated[int, typer.Option(min=0, max=1440, help="Minutes kept free after it.")] = 0,
    every: Annotated[
        int | None, typer.Option(min=1, max=1440, help="Visits begin at multiples of these minutes.")
    ] = None,
    timezone: ZoneName = None,
    specialty: Specialty = None,
    service_type: ServiceType = None,
    mode: TestOrLive = "test",
    as_json: AsJson = False,
) -> None:
    """Give a practitioner weekly hours from which openings are computed, without a Slot for each; again replaces them.

    [dim]Example:  mediloop-fhir slots hours --practitioner prov-abc-123 --facility fac-xyz-789
    --hours 'mon-fri 09:00-12:00' --minutes 30 --timezone Africa/Kampala[/dim]
    """
    try:
        openings = publishing.parse_hours(hours)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    numbers = {"duration": minutes, "bufferBefore": before, "bufferAfter": after, "alignmentInterval": every}
    given = {name: value for name, value in numbers.items() if value}

    async def work(service: Service) -> str:
        await _require_stored(service, mode, practitioner, facility)
        zone_name = timezone or service.settings.timezone
        base = service.systems.extensions
        codes = {"specialty": specialty, "serviceType": service_type}
        ident = (await _schedule(service, mode, practitioner, facility, codes))["id"]
        await _change(
            service, mode, ident, lambda before: hours_writing.with_hours(before, base, openings, given, zone_name)
        )
        return str(ident)

    ident = write(mode, work)
    if as_json:
        typer.echo(json.dumps({"schedule": ident}))
    else:
        out.print(f"Schedule/{ident}: openings are computed from these hours.", markup=False, highlight=False)


@app.command()
def away(
    practitioner: Annotated[str, typer.Option(callback=_text, help="The practitioner's id; one who has weekly hours.")],
    first: FirstDay,
    last: LastDay,
    reason: Annotated[str, typer.Option(callback=_text, help="Why, for whoever reads the schedule.")] = "leave",
    facility: Annotated[
        str | None, typer.Option(callback=_text, help="Only at this facility. Default: at each.")
    ] = None,
    mode: TestOrLive = "test",
    as_json: AsJson = False,
) -> None:
    """Take days out of a practitioner's weekly hours (leave, holidays); appointments that stand are left alone.

    [dim]Example:  mediloop-fhir slots away --practitioner prov-abc-123 --from 2027-12-24 --to 2027-12-31[/dim]
    """
    if last < first:
        raise typer.BadParameter("--to must be --from or later")

    async def work(service: Service) -> list[str]:
        groups = [(f"Practitioner/{practitioner}",)] + ([(f"Location/{facility}",)] if facility else [])
        wanted = free_slots.matching(groups) | {"_index.computed": True}
        idents = sorted(await service.stores[mode].keys("Schedule", wanted, limit=0))
        if not idents:
            fail(f"Practitioner/{practitioner} has no weekly hours there in the {mode} database.")
        days = first.date().isoformat(), last.date().isoformat()
        for ident in idents:
            await _change(service, mode, ident, lambda before: hours_writing.with_leave(before, *days, reason))
        return idents

    idents = write(mode, work)
    if as_json:
        typer.echo(json.dumps({"schedules": idents}))
    else:
        names = ", ".join(f"Schedule/{ident}" for ident in idents)
        out.print(f"{names}: away from {first:%Y-%m-%d} to {last:%Y-%m-%d}.", markup=False, highlight=False)


async def _decided(store: Store, step: Callable[[UnitOfWork], Awaitable[T]]) -> T:
    """Do as `decide`; the command may have been killed just now, and be given again."""
    return await patiently(store, lambda: decide(store, step))


async def _require_stored(service: Service, mode: Mode, practitioner: str, facility: str | None) -> None:
    """Let pass only a practitioner and a facility that are stored."""
    wanted = [f"Practitioner/{practitioner}"] + ([f"Location/{facility}"] if facility else [])
    stored = await service.stores[mode].read_all(wanted)
    missing = [name for name in wanted if name not in stored]
    if missing:
        fail(f"{' and '.join(missing)} is not stored in the {mode} database.")


async def _change(service: Service, mode: Mode, ident: str, changed: Callable[[Resource], Resource]) -> None:
    """Change a Schedule that is stored, judged and decided as every other write of one."""

    async def step(work: UnitOfWork) -> None:
        before = await work.read("Schedule", ident)
        if before is not None:
            after = changed(before)
            _require_valid(after)
            settling.stage(work, await settling.settle(work, [Change(before, after)], fills_slots=False))

    await _decided(service.stores[mode], step)


def _require_valid(schedule: Resource) -> None:
    """Let pass only what the front door would: what is stored otherwise, no import would take."""
    problems = check(schedule, "Schedule")
    if problems:
        fail("; ".join(f"{one.param or 'Schedule'}: {one.message}" for one in problems))


async def _schedule(
    service: Service,
    mode: Mode,
    practitioner: str,
    facility: str | None,
    codes: dict[str, str | None],
) -> Resource:
    """Return the practitioner's Schedule at the facility, made where there is none yet."""
    ident = publishing.schedule_id(practitioner, facility)
    systems = {"specialty": service.systems.specialty, "serviceType": service.systems.service_type}

    async def step(work: UnitOfWork) -> Resource:
        before = await work.read("Schedule", ident)
        if before is not None and before.get("active") is False:
            why = "is not active, so nobody could book there. Set its active to true (PUT or PATCH), then try again."
            fail(f"Schedule/{ident} {why}")
        after: Resource = before or {
            "resourceType": "Schedule",
            "id": ident,
            "active": True,
            "actor": [
                await _actor(work, name)
                for name in (f"Practitioner/{practitioner}", f"Location/{facility}" if facility else None)
                if name is not None
            ],
        }
        for element, code in codes.items():
            if code is not None:
                after = {**after, element: [{"coding": [{"system": systems[element], "code": code}]}]}
        if after == before:
            return after
        _require_valid(after)
        if before is not None:
            return work.update(before, after)
        await work.last_version("Schedule", ident)  # it may have been there before
        return work.create(after)

    return await _decided(service.stores[mode], step)


async def _actor(work: UnitOfWork, name: str) -> Resource:
    kind, _, ident = name.partition("/")
    stored = await work.read(kind, ident)
    display = None if stored is None else own_name(stored)
    return {"reference": name} | ({} if display is None else {"display": display})
