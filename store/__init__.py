"""FHIR documents in MongoDB: every write a new version, every group of writes all or nothing.

The package knows nothing of HTTP or MediLoop. `Store` reads, `UnitOfWork` is the only thing that writes
resources, `embedded` runs a real MongoDB server where none is named.
"""
