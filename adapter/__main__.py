"""The command line's entry point: ``mediloop-fhir``, or ``python -m adapter``.

Apart from `adapter.cli` because what comes first is how that is loaded.
"""

from __future__ import annotations

import sys

from adapter import memory
from adapter.ending import INTERRUPTED, orderly


def main() -> None:
    """Run the command line (the entry point of the distribution)."""
    with orderly():
        try:
            with memory.loading():
                from adapter import cli
        except KeyboardInterrupt:  # from here on it is the command line's to say so
            sys.exit(INTERRUPTED)
        try:
            cli.main()
        finally:
            memory.leave()


if __name__ == "__main__":
    main()
