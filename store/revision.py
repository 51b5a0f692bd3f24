"""By which rules what is stored is filed.

What `_index` holds of a resource follows from it by the rules of the release and by what the settings decide
(`store.documents.Rules`). Where either was another, what is stored is found otherwise, and claims other time.
"""

from __future__ import annotations

import hashlib

import orjson

from store import zones
from store.documents import Rules

RULES = 1
"""Raised with every change of what `store.documents.compose` files of a resource, its claims included."""


def revision(rules: Rules) -> str:
    """Return a digest of all that decides how a resource is filed."""
    systems = (rules.bases, rules.patient_systems, rules.unique_systems)
    zone = f"{rules.zone} {zones.rules_of(rules.zone)}"
    decided = [RULES, zone, *(sorted(set(one)) for one in systems)]
    return hashlib.sha256(orjson.dumps(decided)).hexdigest()
