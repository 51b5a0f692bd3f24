"""The figures of a run: medians of slices that took turns, and the table of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import fhir
from bench.cases import CONSTANT, FLOOR, LEAST, MARKS, SERVICE, Case
from bench.processes import Slice


@dataclass(frozen=True, slots=True)
class Figures:
    """One target under one load: requests a second (median of slices), milliseconds over all slices."""

    rate: float
    p50: float
    p99: float
    requests: int
    failed: int

    @classmethod
    def of(cls, slices: Sequence[Slice], entries: int = 1) -> Figures:
        """Sum slices up; with `entries` resources to a request the rate is that of resources."""
        latencies = [latency for one in slices for latency in one["latencies"]]
        cuts = quantiles(latencies, n=100) if len(latencies) > 1 else [0.0] * 99
        rate = entries * median(one["rate"] for one in slices)
        return cls(rate, cuts[49], cuts[98], len(latencies), sum(one["failed"] for one in slices))


@dataclass(frozen=True, slots=True)
class Row:
    """One case with one number of clients.

    Attributes:
        ratio: service to floor, the median over rounds in which both had a slice one after the other.
        spread: the least and the greatest ratio of a round.
    """

    case: str
    title: str
    clients: int
    goal: float
    ratio: float
    spread: tuple[float, float]
    figures: Mapping[str, Figures]
    ran_out: bool

    @classmethod
    def of(cls, case: Case, clients: int, slices: Mapping[str, Sequence[Slice]]) -> Row:
        """Sum the rounds up."""
        pairs = zip(slices[SERVICE], slices[FLOOR], strict=True)
        ratios = [ours["rate"] / floor["rate"] for ours, floor in pairs if floor["rate"]] or [0.0]
        return cls(
            case.name,
            case.title,
            clients,
            case.goal,
            median(ratios),
            (min(ratios), max(ratios)),
            {target: Figures.of(taken, 1 if target == CONSTANT else case.entries) for target, taken in slices.items()},
            any(one["ran_out"] for taken in slices.values() for one in taken),
        )

    @property
    def failed(self) -> int:
        """Requests that were not answered with success."""
        return sum(figures.failed for figures in self.figures.values())

    @property
    def met(self) -> bool:
        """Whether the goal is reached, judged as it is printed."""
        return self.failed == 0 and round(self.ratio, 2) >= self.goal

    def times(self, target: str) -> float | None:
        """Return how many times the best other server's share of a constant answer `target` has (see `bench.fhir`)."""
        constant = self.figures.get(CONSTANT)
        if constant is None or not constant.rate:
            return None
        other = fhir.BEST_OTHER[self.case][self.clients] / fhir.CONSTANT_ELSEWHERE[self.clients]
        return self.figures[target].rate / constant.rate / other


def verdict(is_met: bool) -> str:
    """Return what is printed beside a goal."""
    return "[green]met[/]" if is_met else "[red]not met[/]"


def show(console: Console, machine: Mapping[str, str], rows: Sequence[Row], how: str) -> None:
    """Print the machine and the table."""
    for name, value in machine.items():
        console.print(f"{name:<10}{value}", highlight=False, markup=False)
    console.print(f"{'Method':<10}{how}\n", highlight=False, markup=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    for heading in (
        *("clients", "service/s", "p50 ms", "p99 ms", "floor/s", "p50 ms", "p99 ms"),
        *("ratio", "rounds", "goal", ""),
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        low, high = row.spread
        table.add_row(
            row.title,
            str(row.clients),
            *_cells(row.figures[SERVICE]),
            *_cells(row.figures[FLOOR]),
            f"{row.ratio:.2f}",
            f"{low:.2f}-{high:.2f}",
            f"{row.goal:.2f}",
            verdict(row.met),
        )
    console.print(table)
    for row in rows:
        if LEAST in row.figures:
            rate, p50, p99 = _cells(row.figures[LEAST])
            text = f"two bare writes in a transaction: {rate}/s, p50 {p50} ms, p99 {p99} ms"
            console.print(f"{row.title}, {row.clients} clients: {text}", highlight=False)
        times = row.times(SERVICE)
        if times is not None:
            goal = fhir.TIMES[row.case][row.clients]
            said = verdict(round(times, 1) >= goal)
            beside = f"the floor: {row.times(FLOOR):.1f} times, a constant answer: {row.figures[CONSTANT].rate:,.0f}/s"
            text = f"{times:.1f} times the best other server, goal {goal:g}: {said} ({beside})"
            console.print(f"{row.title}, {row.clients} clients: {text}", highlight=False)
        if row.failed:
            console.print(f"{row.title}, {row.clients} clients: {row.failed} requests failed", style="red")
        if row.ran_out:
            console.print(f"{row.title}, {row.clients} clients: all slots were taken before the end", style="yellow")
    for name in dict.fromkeys(row.case for row in rows if row.case in MARKS):
        console.print(f"{name}: {MARKS[name]}", highlight=False)


def _cells(figures: Figures) -> tuple[str, str, str]:
    return f"{figures.rate:,.0f}", f"{figures.p50:.1f}", f"{figures.p99:.1f}"


def as_json(machine: Mapping[str, str], rows: Sequence[Row], how: str) -> dict[str, Any]:
    """Return the same for machines."""
    return {
        "machine": dict(machine),
        "method": how,
        "rows": [asdict(row) | {"met": row.met, "failed": row.failed, "times": row.times(SERVICE)} for row in rows],
    }
