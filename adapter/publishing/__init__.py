"""Published availability: ``$bulk-publish`` and SMART Scheduling Links, for anybody, with nothing about anyone.

https://github.com/smart-on-fhir/smart-scheduling-links. `scrubbing` says what of a resource is public, `making` makes
the files, once in a while, `router` serves them.
"""
