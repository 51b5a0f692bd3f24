"""Every refusal the service can give, in one vocabulary that no door owns.

A rule raises `Refused` with one or more `Problem`s; the door that was called shapes it: the MediLoop
envelope (`adapter.mediloop.errors`) or an OperationOutcome (`adapter.fhir.outcome`). A problem names what is
wrong, the member it is about, and the remedy. Text never carries a patient's name, a UHID or a key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        code: stable word for machines (``slot_unavailable``).
        message: one sentence for people: what is wrong and what to do.
        param: the member, parameter or header it is about, where there is one.
        details: further machine-readable members (``{"slots": ["slot-002"]}``).
        issue: the FHIR issue type (``invariant``), where it says more than the status does
            (https://hl7.org/fhir/R4/valueset-issue-type.html).
        entry: which of several writes it is about, from 0: an entry of a Bundle.
        severity: ``error``; what a refusal-free answer mentions is a ``warning`` or ``information``.
    """

    code: str
    message: str
    param: str | None = None
    details: Mapping[str, object] = field(default_factory=dict)
    issue: str | None = None
    entry: int | None = None
    severity: str = "error"


OUR_FAULT = "Something went wrong on our side. The log has the request id."
"""What is told of a fault of ours: nothing of its inside."""

MOST_NAMED = 100
"""So many problems of a request are named one by one."""


def few(problems: Sequence[Problem], most: int = MOST_NAMED) -> list[Problem]:
    """Return the problems; where there are many, the first, and then one that tells how many are not named."""
    if len(problems) <= most:
        return [*problems]
    text = f"There are {len(problems) - most} further problems. Repair the ones named here and send it again."
    further = replace(problems[most], code="further_problems", message=text, param=None, entry=None)
    return [*problems[:most], further]


class Refused(Exception):
    """A request that is refused, with its HTTP status and every problem found.

    Attributes:
        status: HTTP status.
        problems: at least one `Problem`; the first is the one an API with room for one error shows.
        headers: response headers that belong to the refusal (``Allow``, ``Retry-After``).
    """

    status = 500

    def __init__(
        self,
        problems: Problem | Sequence[Problem],
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        self.status = self.status if status is None else status
        self.headers: dict[str, str] = dict(headers or {})
        super().__init__("; ".join(f"{p.code}: {p.message}" for p in self.problems))


class Malformed(Refused):
    """400: input that is missing, of the wrong type or unreadable."""

    status = 400


class Unauthenticated(Refused):
    """401: no valid key. Carries ``WWW-Authenticate`` (RFC 9110 section 11.6.1)."""

    status = 401

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem, headers={"WWW-Authenticate": 'Bearer realm="mediloop-fhir"'})


class Forbidden(Refused):
    """403: the key is valid but lacks a permission, which is named."""

    status = 403


class NotFound(Refused):
    """404: nothing is there (or nothing that this API shows)."""

    status = 404


class MethodNotAllowed(Refused):
    """405: nothing that this path takes; ``Allow`` names what it does take."""

    status = 405


class NotAcceptable(Refused):
    """406: no answer in a format that the client takes."""

    status = 406


class Conflict(Refused):
    """409: the request clashes with what is stored: a taken slot, a busy practitioner, a status that has moved on."""

    status = 409


class Gone(Refused):
    """410: it was there and has been deleted."""

    status = 410


class PreconditionFailed(Refused):
    """412: the resource has another version than the client knows, or criteria match several."""

    status = 412


class TooLarge(Refused):
    """413: the body, or what is in it, is larger than the service takes."""

    status = 413


def oversized() -> TooLarge:
    """Return the refusal for what MongoDB does not take, however large a body may be."""
    text = (
        "It is larger than what MongoDB holds: 16 MB for a resource with its index, and it stands there twice. "
        "Leave out pictures and other attachments, or give their addresses; send a Bundle in parts."
    )
    return TooLarge(Problem("body_too_large", text))


class AddressTooLong(Refused):
    """414: the address is longer than the HTTP parser takes."""

    status = 414


class UnsupportedMediaType(Refused):
    """415: the body is not of a media type that this door reads."""

    status = 415


class Unprocessable(Refused):
    """422: well-formed, but against a rule."""

    status = 422


class RateLimited(Refused):
    """429: too many requests; ``Retry-After`` says when to come back."""

    status = 429


class HeadersTooLarge(Refused):
    """431: more header fields than the service takes."""

    status = 431


class NotImplementedHere(Refused):
    """501: the request needs something of HTTP that is not built."""

    status = 501


class Unavailable(Refused):
    """503: MongoDB cannot be reached or did not answer in time; nothing was changed, or the answer was lost."""

    status = 503
