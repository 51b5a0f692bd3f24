"""What runs the command line in the tests, and looks into what it has written."""

from __future__ import annotations

import json
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

    def json(self, *words: str) -> Any:
        """Run a command with --json; it must succeed."""
        result = self.run(*words, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)
