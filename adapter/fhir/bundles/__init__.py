"""Batch and transaction Bundles (https://hl7.org/fhir/R4/http.html#transaction).

`reading` takes a Bundle apart and checks it, `planning` makes the writes of it, `adapter.fhir.references` finds and
replaces what entries say of each other (`patches` does in patches, `identifiers` finds what one by search means),
`transactions` and `batches` carry them out, `responses` shapes the answer.
"""

from __future__ import annotations

from adapter.aside import aside
from adapter.fhir.bundles import batches, transactions
from adapter.fhir.bundles.alone import Answer
from adapter.fhir.bundles.reading import read
from adapter.fhir.call import Call, Reply


async def process(call: Call, answer: Answer) -> Reply:
    """Carry out the Bundle that `call` brings.

    Args:
        call: POST to the base.
        answer: carries out one interaction by itself (`adapter.fhir.interactions.answer`).

    Raises:
        Refused: it is no batch or transaction, or (a transaction) one of its entries is refused: nothing was done.
    """
    parsed = await aside(lambda: read(call.body, call.base), much=call.large)
    carried_out = transactions.run if parsed.kind == "transaction" else batches.run
    return await carried_out(call, parsed, answer)


__all__ = ["process"]
