"""How fast the service is beside a bare floor: measured in one run, never asserted by a timed test."""
