"""Data in: files of FHIR resources or MediLoop objects become stored resources, by the rules of the front door.

`sources` finds the files, `reading` takes them apart into items, `mediloop` translates MediLoop's objects, `checking`
judges items by themselves (`beside`: in a process of its own), `identity` tells which stored resource each one is,
`deciding` stages a batch in one unit of work (`keeping`: what is kept here whatever the files say), `running` goes
through everything in the order in which references can stand, `again` once more through what waits for something to get
out of its way (`waiting`, `blocking`), and `books` and `state` remember what has become of all and how far it is.
"""
