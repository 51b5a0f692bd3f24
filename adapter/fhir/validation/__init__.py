"""Validation at the door: what FHIR R4 and this service ask of a resource before it is stored.

`strict_json` reads the body; `check` judges a resource; `require_valid` refuses it; `outcome_of` is ``$validate``,
and `require_call` what it is called with; `warm_up` is for the start.
"""

from __future__ import annotations

from adapter.fhir.validation import strict_json
from adapter.fhir.validation.checking import check, outcome_of, require_call, require_valid, warm_up

__all__ = ["check", "outcome_of", "require_call", "require_valid", "strict_json", "warm_up"]
