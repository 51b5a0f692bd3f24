"""Judge a recorded history again: ``python -m tests.linearizability.replay <file>``."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.linearizability.checker import check
from tests.linearizability.history import load


def main(path: str) -> int:
    """Print the verdict; return the exit code: 0 where the history is linearizable."""
    about, ops = load(Path(path))
    verdicts = check(ops)
    wrong = [verdict for verdict in verdicts if not verdict.sound]
    print(f"{path}: {about}")
    print(
        f"{len(ops)} calls on {len(verdicts)} calendars, {sum(one.steps for one in verdicts)} steps, {len(wrong)} wrong"
    )
    for verdict in wrong:
        print(verdict.reason)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
