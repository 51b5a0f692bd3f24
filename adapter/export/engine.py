"""What every export is made of: resources at one moment, in parts.

The reading is the store's (`store.exporting`); here is its face for the two that export: ``$export`` and the command.
"""

from __future__ import annotations

from store.exporting import Cut, Selection, cut_before, deletions, resource, resources, take_cut

__all__ = ["Cut", "Selection", "cut_before", "deletions", "resource", "resources", "take_cut"]
