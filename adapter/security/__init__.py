"""Who may call, what they may do, and how often: API keys, permissions and rate limits.

Why it exists: both doors (MediLoop and FHIR) ask these questions alike, and nothing here knows HTTP beyond the
text of a few headers. `keys` stores keys, `keyring` reads an ``Authorization`` header, `permissions` says what
a key may do, `ratelimit` how often (its counters are in `counters`).
"""
