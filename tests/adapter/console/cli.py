"""What runs the command line in the tests, and looks into what it has written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from typing import Any

from pymongo import MongoClient
from typer.testing import CliRunner, Result

from adapter.cli import app

Databases = MongoClient[dict[str, Any]]


class Cli:
    """Runs commands and reads what they print."""

    def __init__(self) -> None:
        self._runner = CliRunner()

    def run(self, *words: str, stdin: str | None = None) -> Result:
        """Run one command line."""
        return self._runner.invoke(app, list(words), input=stdin)

    def on_a_terminal(self, *words: str) -> str:
        """Run one command line, which must succeed, as a process; return what it says to people on their terminal."""
        ours, theirs = os.openpty()
        shown = b""
        with subprocess.Popen(
            [sys.executable, "-m", "adapter", *words],
            stdout=subprocess.DEVNULL,
            stderr=theirs,
            env=os.environ | {"TERM": "xterm"},
        ) as process:
            os.close(theirs)
            with suppress(OSError):  # the end of a terminal that nobody has open any more
                while more := os.read(ours, 4_096):
                    shown += more
        os.close(ours)
        assert process.returncode == 0, shown
        return shown.decode()

    def json(self, *words: str) -> Any:
        """Run a command with --json; it must succeed."""
        result = self.run(*words, "--json")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception  # else nobody could see what was not expected
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)
