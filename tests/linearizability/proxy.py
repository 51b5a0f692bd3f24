"""The wires between the members, and between them and everybody else: a process of its own, so that they can be cut.

Each member is known, to the others and to clients, by the address of a proxy alone. Who has opened a connection is
found in /proc: one of the members, one of the service processes, or another one of the `clients`. A cut link passes
nothing on, in either direction, as if its packets were lost; when it heals, what was on its way arrives late, or the
connection is reset.

Started as ``python -m tests.linearizability.proxy name=listen:target ...``; takes commands as JSON lines on standard
input: ``{"pids": {name: pid}}``, ``{"cut": [[from, to], ...]}`` (all others are whole; ``clients`` are the services
too), each answered by a line.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

CLIENTS = "clients"
MEMBER = "m"
"""With which the names of members begin, and no other's."""
_CHUNK = 1 << 16


@dataclass(eq=False)
class _Link:
    """One connection."""

    source: str
    target: str
    writers: list[asyncio.StreamWriter]
    whole: asyncio.Event = field(default_factory=asyncio.Event)

    def is_of(self, pairs: set[tuple[str, str]]) -> bool:
        named = {(self.source, self.target)}
        if not self.source.startswith(MEMBER):
            named.add((CLIENTS, self.target))
        return not pairs.isdisjoint(named)

    def reset(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


class Wires:
    """All proxies of one set."""

    def __init__(self) -> None:
        self.pids: dict[str, int] = {}
        self._cut: set[tuple[str, str]] = set()
        self._links: set[_Link] = set()

    async def listen(self, name: str, port: int, target: int) -> None:
        """Stand for the member `name`."""

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._connected(name, target, reader, writer)

        await asyncio.start_server(connected, "127.0.0.1", port, backlog=512)

    def cut(self, pairs: set[tuple[str, str]], *, reset: bool) -> None:
        """Cut the links named and heal all others."""
        healed = self._cut - pairs
        self._cut = pairs
        for link in list(self._links):
            if link.is_of(pairs):
                link.whole.clear()
            elif link.is_of(healed) and reset:
                link.reset()
            else:
                link.whole.set()

    async def _connected(
        self, name: str, target: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        source = self._opener(writer.get_extra_info("peername")[1])
        link = _Link(source, name, [writer])
        if not link.is_of(self._cut):
            link.whole.set()
        self._links.add(link)
        try:
            await link.whole.wait()
            onwards, back = await asyncio.open_connection("127.0.0.1", target)
            link.writers.append(back)
            await asyncio.gather(self._pass_on(link, reader, back), self._pass_on(link, onwards, writer))
        except OSError:
            pass
        finally:
            self._links.discard(link)
            link.reset()

    async def _pass_on(self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            await link.whole.wait()
            writer.write(data)
            await writer.drain()
        link.reset()  # both directions end together: MongoDB's connections are never half closed

    def _opener(self, port: int) -> str:
        rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
        inode = next((row[9] for row in rows if row[1].endswith(f":{port:04X}")), "")
        for name, pid in self.pids.items():
            with contextlib.suppress(OSError):
                folder = Path(f"/proc/{pid}/fd")
                for entry in folder.iterdir():
                    with contextlib.suppress(OSError):
                        if str(entry.readlink()) == f"socket:[{inode}]":
                            return name
        return CLIENTS


async def main(arguments: list[str]) -> None:
    """Serve until standard input ends."""
    wires = Wires()
    for argument in arguments:
        name, _, ports = argument.partition("=")
        port, _, target = ports.partition(":")
        await wires.listen(name, int(port), int(target))
    commands = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    print("ready", flush=True)
    while line := await commands.readline():
        command = json.loads(line)
        wires.pids |= command.get("pids", {})
        if "cut" in command:
            wires.cut({(source, target) for source, target in command["cut"]}, reset=command.get("reset", True))
        print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
