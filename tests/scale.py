"""How much the tests that can take any size shall take: `make proof` runs them long, `make test` short."""

import os

LONG = os.environ.get("PROOF", "") not in ("", "0")


def examples(full: int) -> int:
    """Return how many examples a property is tried with: `full`, or a third of it in the short form."""
    return full if LONG else full // 3
