"""What goes wrong, one thing after another, in an order that a seed gives; each is put right again."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.linearizability.cluster import ReplicaSet, Services


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that went wrong, from when to when; `service` is the process that was hit, -1 for a member."""

    name: str
    start: float
    end: float
    service: int = -1


@dataclass
class Nemesis:
    """Breaks things; with a `pace` below 1 each for so much shorter, so that more of them fit into a short run."""

    members: ReplicaSet
    services: Services
    chance: random.Random
    pace: float = 1.0
    done: list[Fault] = field(default_factory=list)

    async def run(self, seconds: float) -> None:
        """Break one thing after another: each kind once in an order of the seed, then again; end with all whole."""
        kinds: list[Callable[[], Awaitable[None]]] = [
            self.kill_primary,
            self.pause_primary,
            self.isolate_primary,
            self.cut_clients_off_primary,
            self.cut_service_off_primary,
            self.strike_primary_and_service,
            self.kill_service,
            self.pause_service,
            self.kill_secondary,
        ]
        end = time.monotonic() + seconds
        while True:
            self.chance.shuffle(kinds)
            for kind in kinds:
                await asyncio.sleep(self._seconds(1.0, 2.5))
                if time.monotonic() >= end:
                    return
                await kind()

    def _seconds(self, least: float, most: float) -> float:
        return self.chance.uniform(least, most) * self.pace

    def told(self) -> str:
        """Return what was done, counted."""
        return ", ".join(f"{name} {count}" for name, count in sorted(Counter(one.name for one in self.done).items()))

    async def supervise(self) -> None:
        """Start service processes that have ended again, as any supervisor does, until cancelled.

        One that is started while there is no primary says so in one line and ends.
        """
        while True:
            await asyncio.sleep(1.0)
            for machine in self.services.machines:
                machine.start()
            self.members.name_clients(self.services.pids())

    async def primary(self) -> str:
        """Return the primary, waiting for one."""
        while (found := await asyncio.to_thread(self.members.primary)) is None:
            await asyncio.sleep(0.2)
        return found

    async def _member(self, what: str, name: str, seconds: float) -> None:
        begun = time.time()
        machine = self.members.members[name]
        if what == "kill":
            machine.kill()
            await asyncio.sleep(seconds)
            machine.start()  # in the thread of the event loop: the process dies with the thread that has started it
            self.members.name_members()
        else:
            machine.send(signal.SIGSTOP)
            await asyncio.sleep(seconds)
            machine.send(signal.SIGCONT)
        self.done.append(Fault(f"{what} member", begun, time.time()))

    async def kill_primary(self) -> None:
        """SIGKILL, and start it again some seconds later."""
        await self._member("kill", await self.primary(), self._seconds(2, 5))

    async def kill_secondary(self) -> None:
        """SIGKILL of one that follows."""
        found = await asyncio.to_thread(self.members.secondaries)
        if len(found) == 2:  # never two at once: without a majority nothing goes on
            await self._member("kill", self.chance.choice(found), self._seconds(1, 3))

    async def pause_primary(self) -> None:
        """SIGSTOP, longer than an election takes; when it goes on, it still takes itself for the primary."""
        await self._member("pause", await self.primary(), self._seconds(4, 7))

    async def isolate_primary(self) -> None:
        """Cut it off from the other members and from the services."""
        begun = time.time()
        self.members.isolate(await self.primary())
        await asyncio.sleep(self._seconds(4, 7))
        self.members.heal(reset=self.chance.random() < 0.5)
        self.done.append(Fault("isolate primary", begun, time.time()))

    async def cut_clients_off_primary(self) -> None:
        """Cut the services off from a primary that stays one: nobody can be booked until it is over."""
        begun = time.time()
        self.members.cut_clients(await self.primary())
        await asyncio.sleep(self._seconds(1.5, 4))
        self.members.heal(reset=self.chance.random() < 0.5)
        self.done.append(Fault("cut services off", begun, time.time()))

    async def cut_service_off_primary(self) -> None:
        """Cut one service process off from a primary that the others reach: it has to say 503, and they go on."""
        place = self.chance.randrange(len(self.services.machines))
        begun = time.time()
        self.members.cut_clients(await self.primary(), self.services.machines[place].name)
        await asyncio.sleep(self._seconds(1.5, 4))
        self.members.heal(reset=self.chance.random() < 0.5)
        self.done.append(Fault("cut a service off", begun, time.time()))

    async def strike_primary_and_service(self) -> None:
        """Kill or pause the primary and a service process in the same moment: neither can tell of the other's end."""
        primary, place = await self.primary(), self.chance.randrange(len(self.services.machines))
        service, begun = self.services.machines[place], time.time()
        seconds = self._seconds(3, 5)
        if kill := self.chance.random() < 0.5:
            service.kill()  # the supervisor starts it again
            await self._member("kill", primary, seconds)
        else:
            service.send(signal.SIGSTOP)
            await self._member("pause", primary, seconds)
            service.send(signal.SIGCONT)
        self.done[-1] = Fault(f"{'kill' if kill else 'pause'} member and service", begun, time.time(), place)

    async def kill_service(self) -> None:
        """SIGKILL of a service process with its cleaners, in the middle of its transactions."""
        place = self.chance.randrange(len(self.services.machines))
        begun = time.time()
        self.services.machines[place].kill()
        await asyncio.sleep(self._seconds(0.5, 2))  # the supervisor starts it again
        self.done.append(Fault("kill service", begun, time.time(), place))

    async def pause_service(self) -> None:
        """SIGSTOP of a service process: its transactions stay open, and its holds and caches grow old."""
        place = self.chance.randrange(len(self.services.machines))
        begun = time.time()
        self.services.machines[place].send(signal.SIGSTOP)
        await asyncio.sleep(self._seconds(2, 6))
        self.services.machines[place].send(signal.SIGCONT)
        self.done.append(Fault("pause service", begun, time.time(), place))
