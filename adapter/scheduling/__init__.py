"""The only place that decides about time: which status may follow, which booking stands, which slot is whose.

Decisions are pure functions on what a transaction has read. Two roads lead to them, and share them: `commands` carries
out what MediLoop callers ask for, one appointment at a time; `settling` judges what comes by FHIR, one write or a whole
transaction of them, as one claim set (`claimset`, read by `reading`, laid out in `world`, judged by `visits`,
`slot_changes` and `responses`). Both end in the unit of work, which the store then writes all or nothing.
"""
