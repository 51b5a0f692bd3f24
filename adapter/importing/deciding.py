"""Writes a batch of items that have been checked in one unit of work.

What one item is refused for must not hold up its neighbours: those that a refusal names are taken out, the rest is
tried again, and the ones taken out are tried alone, in their order, so that of two that clash the first stands.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from adapter.errors import Conflict, Malformed, Problem, Refused, oversized
from adapter.importing import becoming, blocking, freeing, keeping, referring, whose
from adapter.importing.checking import Ready
from adapter.importing.freeing import Freed
from adapter.importing.identity import identities, same
from adapter.importing.overlapping import Course, MetError, Numbered
from adapter.patience import patiently
from adapter.scheduling import claims, rooms
from adapter.scheduling.road import decide
from adapter.scheduling.settling import Change, settle, stage
from adapter.service import Service
from store.codec import Resource
from store.errors import AlreadyExists, NotUnique, Oversized
from store.store import Store
from store.unit_of_work import UnitOfWork

CREATED, UPDATED, UNCHANGED, DELETED = "created", "updated", "unchanged", "deleted"
Result = str | Refused

_Road = Callable[[Store, Callable[[UnitOfWork], Awaitable[list[str]]]], Awaitable[list[str]]]


@dataclass(slots=True)
class Writer:
    """Writes into one store.

    Attributes:
        service: settings and code tables.
        store: where to.
        freed: is told the Slots that appointments give up, before that is written, and perhaps a few more: so it is
            known whatever happens.
        since: when the stage of the import began that is written.
        take: is told the identifiers by which Appointments were known (`whose.signs`), when they are written.
        taken: returns those of some that were told so in this stage.
    """

    service: Service
    store: Store
    freed: Callable[[Mapping[str, Freed]], None] = lambda _: None
    since: datetime | None = None
    take: Callable[[Collection[str]], None] = lambda _: None
    taken: whose.Taken = lambda _: ()

    async def write(self, batch: Sequence[Ready], course: Course | None = None) -> list[Result]:
        """Write a batch; return what became of each: one of the words above, or why it was refused.

        Each is told then which resource it is (`Ready.found`).

        Args:
            batch: in their order.
            course: of the batch, where the one before may not be written as yet.

        Raises:
            Unreachable: MongoDB did not answer in time; nothing of what is left is written.
        """
        course = course or Course(())
        results: dict[int, Result] = {}
        try:
            waiting = await self._beside([*enumerate(batch)], course, results)
            await course.clear()
            await self._in_waves(waiting, course, results)
        finally:
            course.end()
        return [results[number] for number in range(len(batch))]

    async def _beside(
        self, waiting: Sequence[Numbered], course: Course, results: dict[int, Result]
    ) -> Sequence[Numbered]:
        """Write what does not meet the batch before, while that is written; return what is left.

        Whether something is refused is told by what that one leaves behind.
        """
        beside, apart = await course.split(waiting)
        if not beside:
            return waiting
        try:
            others = [ready for _, ready in apart]
            done = await self._patiently(Store.transact, [ready for _, ready in beside], course, others)
        except (MetError, Refused, AlreadyExists, NotUnique, Oversized):
            course.rest(needed=True)
            return waiting
        course.rest(needed=False)
        results.update((number, word) for (number, _), word in zip(beside, done, strict=True))
        return apart

    async def _in_waves(self, waiting: Sequence[Numbered], course: Course, results: dict[int, Result]) -> None:
        by_signs = any(ready.is_told_by_signs for _, ready in waiting)
        while waiting:
            seen: set[str] = set()
            wave: list[Numbered] = []
            later: list[Numbered] = []
            for numbered in waiting:  # the same resource twice: one after the other
                ready = numbered[1]
                twice = ready.name in seen or (ready.is_told_by_signs and not seen.isdisjoint(ready.signs))
                (later if twice else wave).append(numbered)
                seen.add(ready.name)
                seen.update(ready.signs if by_signs else ())
            await self._attempt(wave, results, None if later else course)
            waiting = later

    async def together(self, batch: Sequence[Ready]) -> list[str] | None:
        """Write all of a batch or nothing; None where something of it is refused.

        Raises:
            Unreachable: as `write`.
        """
        try:
            return await self._patiently(decide, batch)
        except (Refused, AlreadyExists, NotUnique, Oversized):
            return None

    async def _attempt(
        self, wave: Sequence[Numbered], results: dict[int, Result], course: Course | None = None
    ) -> None:
        alone: list[Numbered] = []
        pending = list(wave)
        while pending:
            batch = [ready for _, ready in pending]
            try:
                done = await self._written(batch, None if alone else course)
            except Refused as refused:
                blamed = {p.entry for p in refused.problems if p.entry is not None and p.entry < len(pending)}
                if len(pending) == 1:
                    results[pending[0][0]] = refused
                    break
                names = {ready.name for ready in batch}
                for entry in sorted(blamed):
                    own = blocking.of(refused, entry)
                    if blocking.is_stored(own, names):
                        results[pending[entry][0]] = own
                    else:
                        alone.append(pending[entry])
                pending = [one for entry, one in enumerate(pending) if entry not in blamed]
                if not blamed:
                    await self._halves(pending, results)
                    break
            except (AlreadyExists, NotUnique, Oversized) as error:
                if len(pending) > 1:
                    await self._halves(pending, results)
                elif isinstance(error, Oversized):
                    results[pending[0][0]] = oversized()
                else:
                    results[pending[0][0]] = Conflict(Problem("identifier_taken", f"It cannot be stored: {error}."))
                break
            else:
                results.update((number, word) for (number, _), word in zip(pending, done, strict=True))
                break
        for one in sorted(alone, key=lambda numbered: numbered[0]):
            await self._attempt([one], results)

    async def _written(self, batch: Sequence[Ready], course: Course | None) -> list[str]:
        # No hold that is over is in the way of what is refused for good.
        return await self._patiently(decide if len(batch) == 1 else Store.transact, batch, course)

    async def _patiently(
        self, road: _Road, batch: Sequence[Ready], course: Course | None = None, apart: Sequence[Ready] = ()
    ) -> list[str]:
        """Write a batch, also where somebody keeps something of it for a while."""

        async def step(work: UnitOfWork) -> list[str]:
            words = await self._step(work, batch)
            if course is not None:
                met = (*work.staged.guards, *(ready.name for ready in batch))
                course.decide(met, await _in_rooms(work, apart))
            return words

        done = await patiently(self.store, lambda: road(self.store, step))
        self.take(whose.signs(self.service.systems, batch))
        return done

    async def _halves(self, pending: Sequence[Numbered], results: dict[int, Result]) -> None:
        middle = len(pending) // 2
        await self._attempt(pending[:middle], results)
        await self._attempt(pending[middle:], results)

    async def _step(self, work: UnitOfWork, batch: Sequence[Ready]) -> list[str]:
        found = await identities(work, batch, self.service.systems)
        for ready, ident in zip(batch, found, strict=True):
            ready.found = ident  # what waits, waits as the resource that it is
        names = [ready.name for ready in batch]
        _require_each_once(names)
        stored = await work.read_many(names)
        words = [UNCHANGED] * len(batch)
        changes: list[Change] = []
        places: list[int] = []
        earlier = [stored.get(name) for name in names]
        people = await becoming.referred(self.service, work, batch, earlier)
        patients = await becoming.patients_of(self.service, work, batch, earlier)
        given = await referring.resolved(work, batch, self.service.systems)
        wanted = becoming.resources(self.service, batch, given, earlier, people, patients)
        keeping.keep_addresses(wanted, batch, earlier, self.service.settings.fhir_bases)
        await freeing.restore(work, wanted, batch, stored)
        await keeping.keep(work, wanted, names, stored)
        for place, (name, after) in enumerate(zip(names, wanted, strict=True)):
            before = stored.get(name)
            if before is not after and (before is None or after is None or not same(before, after)):
                # A MediLoop object changes what is stored, a resource brings its own narrative.
                changes.append(Change(before, after, after if batch[place].members is None else None))
                places.append(place)
        await becoming.require_known(self.service, work, batch, places, patients)
        whose.require_own(self.service.systems, batch, places, changes, self.taken)
        if not changes:
            return words
        await keeping.require_unreferenced(work, changes, places, self.service.settings.fhir_bases)
        absent = [names[place] for place, change in zip(places, changes, strict=True) if change.before is None]
        versions = await work.last_versions(absent) if absent else {}
        own = self.service.settings.fhir_bases
        shut: dict[str, Resource] = {}
        try:
            final = await settle(
                work, changes, fills_slots=True, copied=True, overbooks="", bases=own, configured=own, shut=shut
            )
        except Refused as refused:
            raise _moved(refused, places) from None
        kept = [one for one in final if one.before is None or one.after is None or not same(one.before, one.after)]
        stage(work, kept, versions)
        for place, change in zip(places, final, strict=False):
            if change.after is None:
                words[place] = DELETED
            elif change.before is None:
                words[place] = CREATED
            elif change.after is not None and not same(change.before, change.after):
                words[place] = UPDATED
        self.freed(freeing.noted(final[: len(changes)], final[len(changes) :], shut, self.since))
        return words


async def _in_rooms(work: UnitOfWork, batch: Iterable[Ready]) -> list[str]:
    """Return where a batch is going to meet others for rooms, as only the Slots that it names tell."""
    slots = await work.read_many({name for ready in batch for name in ready.claims if name.startswith("Slot/")})
    schedules = await work.read_many({claims.schedule_of(slot) for slot in slots.values()})
    return [guard for slot in slots.values() for guard in rooms.guards(slot, schedules)]


def _require_each_once(names: Sequence[str]) -> None:
    seen: dict[str, int] = {}
    twice = [entry for entry, name in enumerate(names) if seen.setdefault(name, entry) != entry]
    if twice:
        text = "Another one of the same batch is the same resource."
        raise Malformed([Problem("duplicate_entry", text, entry=entry) for entry in twice])


def _moved(refused: Refused, places: Sequence[int]) -> Refused:
    """Let the problems name the items of the batch, where settling knows only the changes that they became."""
    problems = [
        problem
        if problem.entry is None or problem.entry >= len(places)
        else replace(problem, entry=places[problem.entry])
        for problem in refused.problems
    ]
    return Refused(problems, status=refused.status)
