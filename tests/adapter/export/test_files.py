"""Where files of exports are: what is given up leaves nothing, wherever that is."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter.export.files import Files
from adapter.settings import Settings
from tests.adapter.export import objects


@pytest.fixture(params=["obj", "memory", "file"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Files]:
    yield Files(Settings(export_url=f"{request.param}://{tmp_path}", _env_file=None), "test")
    objects.STORED.clear()
    objects.STARTED.clear()


async def read(files: Files, name: str) -> bytes:
    return b"".join([part async for part in files.read("job", name)])


async def test_a_file_that_is_ended_is_there_and_one_that_is_given_up_is_not(made: Files) -> None:
    for name in ("w/one", "w/two"):
        writing = made.create("job", name)
        await writing.write([b"a line that is longer than a part"])
        await (writing.close() if name == "w/one" else writing.abort())
    await writing.abort()  # again
    assert await read(made, "w/one") == b"a line that is longer than a part\n"
    assert await made.size("job", "w/one") == 34
    del writing
    gc.collect()
    assert await made.size("job", "w/two") is None
    assert not objects.STARTED
    await made.remove("job")
    assert await made.size("job", "w/one") is None


async def test_what_is_ended_stays_when_it_is_given_up(made: Files) -> None:
    writing = made.create("job", "one")
    await writing.close()
    await writing.abort()
    assert await made.size("job", "one") == 0


async def test_what_is_given_up_before_anything_is_written_is_never_begun(made: Files) -> None:
    writing = made.create("job", "one")
    await writing.abort()
    for late in (writing.write([b"line"]), writing.close()):  # of a thread that comes too late
        with pytest.raises(ValueError, match="given up"):
            await late
    assert await made.size("job", "one") is None


@pytest.mark.parametrize("call", ["write", "close"])
async def test_a_thread_that_is_still_at_it_is_waited_for(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """Whoever waited for it has been cancelled; the thread goes on."""
    files, entered, go_on = _objects(), threading.Event(), threading.Event()
    upload = objects.ObjectFile._upload_chunk

    def slow(self: objects.ObjectFile, final: bool = False) -> bool:
        entered.set()
        assert go_on.wait(10)
        return upload(self, final)

    monkeypatch.setattr(objects.ObjectFile, "_upload_chunk", slow)
    writing = files.create("job", "one")
    if call == "close":
        await writing.write([b"short"])
    task = asyncio.create_task(writing.close() if call == "close" else writing.write([b"longer than a part"]))
    assert await asyncio.to_thread(entered.wait, 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    ending = asyncio.create_task(writing.abort())
    await asyncio.sleep(0.05)
    assert not ending.done()
    go_on.set()
    await ending
    # What was ended before it was given up is there: whoever gives up a job removes its files after that.
    assert await files.size("job", "one") == (6 if call == "close" else None)
    await files.remove("job")
    assert not objects.STORED
    assert not objects.STARTED


async def test_a_store_that_does_not_answer_is_given_up_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    files = _objects()

    def gone(self: objects.ObjectFile) -> None:
        raise OSError("not there")

    monkeypatch.setattr(objects.ObjectFile, "discard", gone)
    writing = files.create("job", "one")
    await writing.write([b"short"])
    await writing.abort()
    del writing
    gc.collect()
    assert not objects.STORED


def _objects() -> Files:
    return Files(Settings(export_url="obj://bucket", _env_file=None), "test")
