"""How much the tests that can take any size shall take: `make proof` runs them long, `make test` short."""

import os

LONG = os.environ.get("PROOF", "") not in ("", "0")
