"""``mediloop-fhir tail`` tells every change once, goes on by its token, and ends quietly."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from tests.adapter.console.cli import Cli

Json = dict[str, Any]


class Tail:
    """A running command."""

    def __init__(self, *words: str, out: int | IO[bytes] = subprocess.PIPE, **environment: str) -> None:
        command = [sys.executable, "-m", "adapter", "tail", *words]
        self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, env=os.environ | environment)

    def lines(self, count: int) -> list[Json]:
        """Read so many lines; where they do not come in a minute, the command is killed, and there are fewer."""
        assert self.process.stdout is not None
        too_late = threading.Timer(60, self.process.kill)
        too_late.start()
        try:
            found = [line for _ in range(count) if (line := self.process.stdout.readline())]
        finally:
            too_late.cancel()
        assert len(found) == count, found
        return [json.loads(line) for line in found]

    def end(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(how)
        _, said = self.process.communicate(timeout=30)
        return self.process.returncode, said.decode()


@pytest.fixture
def tails() -> Iterator[list[Tail]]:
    made: list[Tail] = []
    yield made
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
        for pipe in (one.process.stdout, one.process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def bring(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)

    def make(*resources: Json) -> None:
        (tmp_path / "in.ndjson").write_text("".join(json.dumps(one) + "\n" for one in resources))
        assert cli.run("import", "in.ndjson").exit_code == 0

    return make


def patient(ident: str, **members: Any) -> Json:
    return {"resourceType": "Patient", "id": ident, **members}


def ready(file: Path) -> None:
    deadline = time.monotonic() + 30
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert file.exists()


NARRATIVE = {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{"x" * 2_000}</div>'}


def filled(pipe: IO[bytes]) -> None:
    """Wait until a pipe takes no more: its other end is opened once more, and asked."""
    deadline = time.monotonic() + 30
    with Path(f"/proc/self/fd/{pipe.fileno()}").open("wb", buffering=0) as end:
        while select.select([], [end], [], 0)[1]:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_changes_are_told_and_the_next_run_goes_on(
    bring: Any, tails: list[Tail], tmp_path: Path, how: signal.Signals
) -> None:
    file = tmp_path / "token"
    words = ("--type", "Patient", "--token-file", str(file))
    tails.append(Tail(*words))
    ready(file)
    begun = json.loads(file.read_text())["token"]
    bring(patient("a"), {"resourceType": "Location", "id": "l"})
    bring(patient("a", active=True), patient("b"))
    told = tails[0].lines(3)
    assert [(one["type"], one["id"], one["version"], one["method"]) for one in told] == [
        ("Patient", "a", 1, "POST"),
        ("Patient", "a", 2, "PUT"),
        ("Patient", "b", 1, "POST"),
    ]
    assert told[1]["resource"]["active"] is True
    assert told[1]["lastUpdated"] == told[1]["resource"]["meta"]["lastUpdated"]
    assert tails[0].end(how) == (0, "")
    bring(patient("c"))
    tails.append(Tail(*words))
    assert [one["id"] for one in tails[1].lines(1)] == ["c"]
    assert tails[1].end(how) == (0, "")
    tails.append(Tail("--since-token", begun))
    assert [one["id"] for one in tails[2].lines(5)] == ["a", "l", "a", "b", "c"]
    earlier = tmp_path / "earlier"
    earlier.write_text(begun + "\n")  # as earlier versions kept it
    tails.append(Tail("--token-file", str(earlier)))
    assert [one["id"] for one in tails[3].lines(5)] == ["a", "l", "a", "b", "c"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--type", "Slot"), "it was kept for --type Patient,Slot, and this run is for --type Slot: changes of the"),
        ((), "it was kept for --type Patient,Slot, and this run is for all types: changes of the others would be lost"),
        (("--type", "Slot,Patient", "--mode", "live"), "_test, and this is "),
    ],
)
def test_a_token_is_for_the_types_and_the_mode_it_was_kept_for(
    cli: Cli, tails: list[Tail], tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    file = tmp_path / "token"
    tails.append(Tail("--type", "Slot", "--type", "Patient,Slot", "--token-file", str(file)))
    ready(file)
    assert tails[0].end() == (0, "")
    kept = file.read_text()
    result = cli.run("tail", "--token-file", str(file), *words)
    assert result.exit_code == 1
    assert said in result.stderr
    assert "another file" in result.stderr
    assert result.stderr.count("\n") == 1
    assert file.read_text() == kept


@pytest.mark.parametrize("text", ["{", "{}", '{"token": "82", "database": "d", "types": 1}'])
def test_a_token_file_of_something_else_is_said(cli: Cli, tmp_path: Path, text: str) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    result = cli.run("tail", "--token-file", str(file))
    assert result.exit_code == 1
    assert "it is none of this command's" in result.stderr


@pytest.mark.parametrize("text", ["", "\n"])
def test_an_empty_token_file_is_said_and_stays(cli: Cli, tmp_path: Path, text: str) -> None:
    """What an earlier release wrote and a loss of power emptied: to begin now would leave out what came since."""
    file = tmp_path / "token"
    file.write_text(text)
    result = cli.run("tail", "--token-file", str(file))
    assert result.exit_code == 1
    assert result.stderr == (
        f"mediloop-fhir: --token-file {file}: it is empty, and does not tell where to go on. Name another file, or "
        "remove this one to begin now.\n"
    )
    assert file.read_text() == text


def test_who_stops_reading_ends_it(bring: Any, tails: list[Tail], tmp_path: Path) -> None:
    file = tmp_path / "token"
    tails.append(Tail("--token-file", str(file)))
    ready(file)
    assert tails[0].process.stdout is not None
    tails[0].process.stdout.close()
    bring(patient("a"))
    assert tails[0].process.wait(timeout=30) == 0
    assert tails[0].process.stderr is not None
    assert tails[0].process.stderr.read() == b""


@pytest.mark.parametrize("token", ["nonsense", "82"])
def test_a_token_that_leads_nowhere_is_said(cli: Cli, token: str) -> None:
    result = cli.run("tail", "--since-token", token)
    assert result.exit_code == 1
    assert "token" in result.stderr


@pytest.mark.parametrize("what", ["folder", "bytes"])
def test_a_token_file_that_cannot_be_read_is_said(cli: Cli, tmp_path: Path, what: str) -> None:
    file = tmp_path / "token"
    file.mkdir() if what == "folder" else file.write_bytes(b"\xff")
    result = cli.run("tail", "--token-file", str(file))
    assert result.exit_code == 1
    assert result.stderr.startswith(f"mediloop-fhir: --token-file {file}: it cannot be read (")
    assert result.stderr.count("\n") == 1


def test_a_token_file_that_cannot_be_written_is_said(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "missing" / "token"
    result = cli.run("tail", "--token-file", str(file))
    assert result.exit_code == 1
    assert result.stderr.startswith(f"mediloop-fhir: --token-file {file}: no file can be made there (No such file")


def test_an_output_that_cannot_be_written_is_one_line(bring: Any, tmp_path: Path) -> None:
    file = tmp_path / "token"
    with Path("/dev/full").open("wb") as full:
        tail = Tail("--token-file", str(file), out=full)
        ready(file)
        bring(patient("a"))
        _, said = tail.process.communicate(timeout=30)
    assert (tail.process.returncode, said) == (
        1,
        b"mediloop-fhir: No space left on device. Make room, or raise the limit.\n",
    )


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_who_reads_slowly_and_pauses_misses_nothing(
    bring: Any, tails: list[Tail], tmp_path: Path, unbuffered: str
) -> None:
    file = tmp_path / "token"
    tails.append(Tail("--token-file", str(file), PYTHONUNBUFFERED=unbuffered))
    ready(file)
    bring(*(patient(f"p{number}", text=NARRATIVE) for number in range(60)))  # more than a pipe holds
    process = tails[0].process
    assert process.stdout is not None
    filled(process.stdout)
    for how in (signal.SIGSTOP, signal.SIGCONT):  # a write that waits is broken off, part of it done
        process.send_signal(how)
        time.sleep(0.3)
    assert [one["id"] for one in tails[0].lines(60)] == [f"p{number}" for number in range(60)]


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_what_a_full_disk_cut_off_comes_again_in_lines_of_its_own(
    bring: Any, tails: list[Tail], tmp_path: Path, unbuffered: str
) -> None:
    token, printed = tmp_path / "token", tmp_path / "printed"
    with printed.open("ab") as out:
        tail = Tail("--token-file", str(token), out=out, PYTHONUNBUFFERED=unbuffered)
        tails.append(tail)
        ready(token)
        resource.prlimit(tail.process.pid, resource.RLIMIT_FSIZE, (3_000, resource.RLIM_INFINITY))
        bring(*(patient(f"p{number}") for number in range(40)))
        _, said = tail.process.communicate(timeout=30)
        assert (tail.process.returncode, said.count(b"File too large"), printed.stat().st_size) == (1, 1, 3_000)
        tails.append(Tail("--token-file", str(token), out=out))
        deadline = time.monotonic() + 30
        while b'"p39"' not in printed.read_bytes() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert tails[1].end() == (0, "")
    whole = [json.loads(line)["id"] for line in printed.read_bytes().split(b"\n") if line.endswith(b"}}")]
    assert {f"p{number}" for number in range(40)} <= set(whole)
    assert whole[-40:] == [f"p{number}" for number in range(40)]


def test_types_may_be_a_list(bring: Any, tails: list[Tail], tmp_path: Path) -> None:
    file = tmp_path / "token"
    tails.append(Tail("--type", "Patient, Location", "--type", "Practitioner", "--token-file", str(file)))
    ready(file)
    bring({"resourceType": "Location", "id": "l"}, {"resourceType": "Practitioner", "id": "d"})
    bring({"resourceType": "Organization", "id": "o", "name": "O"}, patient("a"))
    assert [one["type"] for one in tails[0].lines(3)] == ["Location", "Practitioner", "Patient"]


@pytest.mark.parametrize("kinds", ["Observation", "Patient,Observation"])
def test_a_type_that_is_not_stored_is_said(cli: Cli, kinds: str) -> None:
    result = cli.run("tail", "--type", kinds)
    assert result.exit_code == 2
    assert "Observation is not stored here" in result.stderr


def test_types_that_are_none_are_not_all_types(cli: Cli) -> None:
    result = cli.run("tail", "--type", "")
    assert result.exit_code == 1
    assert "--type takes types, separated by commas" in result.stderr
