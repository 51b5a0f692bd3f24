"""The only place that decides about time: which status may follow, which booking stands, which slot is whose.

Decisions are pure functions on what a transaction has read (`status`, `booking`, `publishing`); `commands`
reads, asks them, and stages the writes in the unit of work that the store then makes all or nothing.
"""
