"""Who may call, what they may do, and how often: API keys, permissions and rate limits.

Why it exists: both doors (MediLoop and FHIR) ask these questions alike, and nothing here knows HTTP beyond the
text of a few headers. `keys` stores keys, `keyring` reads an ``Authorization`` header, `permissions` says what
a key may do, `ratelimit` how often (its counters are in `counters`).
"""

from adapter.security.counters import MongoStorage
from adapter.security.keyring import Keyring
from adapter.security.keys import Key, KeyStore, Mode
from adapter.security.permissions import Permissions, require
from adapter.security.ratelimit import RateLimiter, RateState

__all__ = [
    "Key",
    "KeyStore",
    "Keyring",
    "Mode",
    "MongoStorage",
    "Permissions",
    "RateLimiter",
    "RateState",
    "require",
]
