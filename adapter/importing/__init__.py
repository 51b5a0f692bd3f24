"""Data in: files of FHIR resources or MediLoop objects become stored resources, by the rules of the front door.

- Files: `sources` finds them, `fetching` has them come from elsewhere (`nearness`: not from where nobody may be sent),
  and `manifests` reads what lists them. `reading` takes them apart into items (`item`): `lines`, and `documents`, in
  which entries refer to each other (`naming`) and some cannot be held (`unwritable`).
- By itself: `checking` judges items, by the settings and tables alone (`means`), or in a process of its own (`beside`).
  `mediloop` translates MediLoop's objects: what they show of what is stored (`shown`), and what they take away from it
  (`withdrawing`).
- Against the store: `deciding` stages a batch in one unit of work. `identity` tells which stored resource each item is:
  by its identifiers (`carriers`), by `criteria`, and of a visit by whose it is (`whose`). `referring` tells where
  references lead, `becoming` what the items are to be, and `keeping` what is kept here whatever the files say.
- In order: `running` goes through everything in the order in which references can stand, two batches at once where they
  do not meet (`overlapping`), and `again` once more through what waits for something to get out of its way (`waiting`,
  `blocking`). `closing` makes of Slots that were given up meanwhile (`freeing`) what they were before.
- `books` and `state` remember what has become of all and how far it is; `errorfile` holds what was refused.
"""
