"""The command line's entry point: ``mediloop-fhir``, or ``python -m adapter``.

Apart from `adapter.cli` because what comes first is how that is loaded.
"""

from __future__ import annotations

from adapter import memory


def main() -> None:
    """Run the command line (the entry point of the distribution)."""
    with memory.loading():
        from adapter import cli
    try:
        cli.main()
    finally:
        memory.leave()


if __name__ == "__main__":
    main()
