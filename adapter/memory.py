"""How often Python's garbage collector looks around.

The models of all FHIR types, HL7's definitions and the compiled tables are some hundred thousand objects that stay for
good, and what a request or a batch makes is nearly all in use until it ends. To look at the former again took every
third answer with thousands of openings 60 ms longer (measured: ``python -m bench --scheduling``); to come as often as
by default cost a list a twentieth of its time.
"""

from __future__ import annotations

import gc

_OBJECTS = 50_000  # made between two rounds: a page of a list, or a batch, is nothing but objects that are all in use


def settle() -> None:
    """Take what is there now out of the collector's rounds, and let it come less often from now on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS, 20, 100)
