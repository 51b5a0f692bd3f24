"""``mediloop-fhir slots``: publish availability."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from itertools import groupby
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from adapter.console.session import fail, out, run
from adapter.scheduling import publishing
from adapter.service import Service
from mappings.references import own_name
from store.codec import Resource
from store.unit_of_work import UnitOfWork

app = typer.Typer(help="Published availability.", no_args_is_help=True)

_LONGEST_RANGE = timedelta(days=731)


@app.callback()
def group() -> None:
    """Published availability."""


@app.command()
def generate(
    practitioner: Annotated[str, typer.Option(help="The practitioner's id; a stored Practitioner.")],
    hours: Annotated[str, typer.Option(help="Weekly hours: 'mon-fri 09:00-12:00,14:00-17:00; sat 09:00-12:00'.")],
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")],
    last: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day, included.")],
    facility: Annotated[str | None, typer.Option(help="The facility's id; a stored Location.")] = None,
    length: Annotated[int, typer.Option(min=5, max=1440, help="Minutes of a slot.")] = 30,
    timezone: Annotated[str | None, typer.Option(help="Time zone of the hours. Default: ADAPTER_TIMEZONE.")] = None,
    specialty: Annotated[str | None, typer.Option(help="Specialty code of the schedule.")] = None,
    service_type: Annotated[str | None, typer.Option(help="Service type code of the schedule.")] = None,
    mode: Annotated[Literal["test", "live"], typer.Option(help="test or live data.")] = "test",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Publish a practitioner's weekly hours as a Schedule and free Slots; again is harmless.

    A slot that overlaps a published one is left out; one over a standing appointment is published as held by it.

    [dim]Example:  mediloop-fhir slots generate --practitioner prov-abc-123 --facility fac-xyz-789
    --hours 'mon-fri 09:00-12:00,14:00-17:00' --from 2027-01-04 --to 2027-01-29 --timezone Africa/Kampala[/dim]
    """
    try:
        openings = publishing.parse_hours(hours)
        zone = None if timezone is None else ZoneInfo(timezone)
    except (ValueError, ZoneInfoNotFoundError) as error:
        raise typer.BadParameter(str(error)) from error
    if last < first or last - first > _LONGEST_RANGE:
        raise typer.BadParameter(f"--to must be --from or later, by {_LONGEST_RANGE.days} days at most")

    async def work(service: Service) -> tuple[str, int] | str:
        store = service.stores[mode]
        wanted = [f"Practitioner/{practitioner}"] + ([f"Location/{facility}"] if facility else [])
        stored = await store.read_all(wanted)
        missing = [name for name in wanted if name not in stored]
        if missing:
            return f"{' and '.join(missing)} is not stored in the {mode} database."
        codes = {"specialty": specialty, "serviceType": service_type}
        schedule = await _schedule(service, mode, practitioner, facility, codes)
        spans = publishing.spans(openings, length, first.date(), last.date(), zone or service.settings.zone)
        made = 0
        for _, day in groupby(spans, key=lambda span: span.start.date()):
            slots = [publishing.slot(schedule, span) for span in day]

            async def step(work: UnitOfWork, slots: list[Resource] = slots) -> int:
                return len(await publishing.publish(work, schedule, slots))

            made += await store.transact(step)
        return schedule["id"], made

    result = run(work)
    if isinstance(result, str):
        fail(result)
    schedule_id, made = result
    if as_json:
        typer.echo(json.dumps({"schedule": schedule_id, "slots_created": made}))
    else:
        out.print(f"Schedule/{schedule_id}: {made} slots made.", markup=False, highlight=False)


async def _schedule(
    service: Service,
    mode: Literal["test", "live"],
    practitioner: str,
    facility: str | None,
    codes: dict[str, str | None],
) -> Resource:
    """Return the practitioner's Schedule at the facility, made where there is none yet."""
    ident = publishing.schedule_id(practitioner, facility)
    systems = {"specialty": service.systems.specialty, "serviceType": service.systems.service_type}

    async def step(work: UnitOfWork) -> Resource:
        before = await work.read("Schedule", ident)
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
        return work.create(after) if before is None else work.update(before, after)

    return await service.stores[mode].transact(step)


async def _actor(work: UnitOfWork, name: str) -> Resource:
    kind, _, ident = name.partition("/")
    stored = await work.read(kind, ident)
    display = None if stored is None else own_name(stored)
    return {"reference": name} | ({} if display is None else {"display": display})
