"""How often Python's garbage collector looks around.

The models of all FHIR types, HL7's definitions and the compiled tables are some hundred thousand objects that stay for
good. To look at them again took every third answer with thousands of openings 60 ms longer (measured:
``python -m bench --scheduling``).
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

BATCH = 50_000
"""Objects made between two rounds in a process that goes through one batch after the other: all of them are in use.

Not for a service: so a list took a twentieth less, but what waited for the collector meanwhile made 223 MB of 145 under
transactions of a hundred, by 16 clients at once (``python -m bench``); 3,000 still made 196.
"""


def settle(objects: int | None = None) -> None:
    """Take what is there now out of the collector's rounds.

    Args:
        objects: made between two of its rounds; None leaves it at Python's own.
    """
    gc.collect()
    gc.freeze()
    if objects is not None:
        gc.set_threshold(objects, 20, 100)


@contextmanager
def loading() -> Iterator[None]:
    """Keep the collector out while modules are loaded, and what they are made of out of its rounds from then on.

    Of what a command loads nearly all stays to its end: it took a third longer to start while garbage was looked for in
    it again and again.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def leave() -> None:
    """Leave everything as it is to the operating system: the process is about to end."""
    gc.freeze()
