"""A history told as running totals and told as deltas gives the same answers, whatever happened in it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import pytest

from app.model import Signal
from tests.integration.query.points import CUMULATIVE, DELTA, Points, at
from tests.integration.query.serving import Door, Plot
from tests.integration.query.world import MAX_ROWS, SECOND, T0

HISTORIES = MAX_ROWS
LENGTH = 600
WINDOW = {"start": str(T0), "end": str(at(LENGTH)), "limit": str(MAX_ROWS)}
BOUNDS = (1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True)
class Happening:
    """What happened between two points of a series; counts of five buckets."""

    begin: float
    end: float
    counts: tuple[int, ...]
    is_restart: bool


def history(dice: random.Random) -> list[Happening]:
    """Uneven intervals, restarts, idle times, and numbers small and large."""
    found: list[Happening] = []
    now = dice.randint(-200, 100) + 0.0
    largest = dice.choice([1, 10, 2**40, 2**55])
    while (then := now + dice.choice([1, 5, 10, 10, 10, 15.5, 60])) <= LENGTH:
        is_restart = bool(found) and dice.random() < 0.2
        begin = now + (then - now) / 2 if is_restart else now
        counts = tuple(dice.choice([0, dice.randint(0, largest)]) for _ in range(5))
        found.append(Happening(begin, then, counts, is_restart))
        now = then
    return found


@pytest.fixture(scope="module", autouse=True)
def planted(plot: Plot) -> list[list[Happening]]:
    """Each history as a counter, an explicit and an exponential histogram, in both ways, shuffled."""
    dice = random.Random(20261121)
    histories = [history(dice) for _ in range(HISTORIES)]
    made = Points()
    for number, happenings in enumerate(histories):
        total: tuple[int, ...] = (0,) * 5
        began = happenings[0].begin if happenings else 0
        for each in happenings:
            if each.is_restart:
                total, began = (0,) * 5, each.begin
            total = tuple(before + more for before, more in zip(total, each.counts, strict=True))
            for name, temporality, counts, start in (
                ("cumulative", CUMULATIVE, total, began),
                ("delta", DELTA, each.counts, each.begin),
            ):
                common: dict[str, Any] = {"start": start, "temporality": temporality, "history": number}
                made.number("counter", f"{name}.counter", sum(counts), each.end, **common)
                made.histogram(f"{name}.explicit", counts, BOUNDS, each.end, **common)
                # A running total that has grown long enough is told at a lower scale.
                coarse = name == "cumulative" and sum(bool(count) for count in counts) == 5
                paired = (counts[0] + counts[1], counts[2] + counts[3], counts[4])
                made.exponential(
                    f"{name}.exponential", -1 if coarse else 0, (0, paired if coarse else counts), each.end, **common
                )
    made.request.resource_metrics.sort(key=lambda _: dice.random())
    plot.plant(Signal.METRICS, made.request)
    return histories


def read(door: Door, name: str, **parameters: str) -> dict[int, list[tuple[float, Any]]]:
    """Points by history."""
    items = door.items(f"/api/v1/metrics/{name}", **WINDOW, **parameters)
    return {
        item["labels"]["history"]: [((time - T0) / SECOND, value) for time, value in item["points"]] for item in items
    }


@pytest.mark.parametrize("step", ["7s", "1m", "10m"])
@pytest.mark.parametrize("kind", ["counter", "explicit", "exponential"])
@pytest.mark.parametrize("aggregation", ["rate", "increase"])
def test_totals_and_deltas_agree(door: Door, kind: str, aggregation: str, step: str) -> None:
    """To the last digit where they are whole numbers."""
    asked = {"aggregation": aggregation, "step": step}
    totals, deltas = read(door, f"cumulative.{kind}", **asked), read(door, f"delta.{kind}", **asked)
    assert len(totals) == HISTORIES
    for number, points in totals.items():
        if aggregation == "increase":
            assert points == deltas[number]
        else:
            expected = [(time, pytest.approx(value)) for time, value in deltas[number]]
            assert points == expected


@pytest.mark.parametrize("step", ["7s", "1m"])
def test_explicit_quantiles_agree(door: Door, step: str) -> None:
    """Bucket by bucket."""
    totals, deltas = (read(door, f"{name}.explicit", quantile="0.7", step=step) for name in ("cumulative", "delta"))
    assert totals == {number: [(t, pytest.approx(v)) for t, v in points] for number, points in deltas.items()}


def test_exponential_quantiles_agree_within_a_bucket_of_the_lower_scale(door: Door) -> None:
    """(1, 4] is the widest bucket that a lower scale makes of two."""
    totals, deltas = (read(door, f"{name}.exponential", quantile="0.7", step="1m") for name in ("cumulative", "delta"))
    for number, points in totals.items():
        assert [time for time, _ in points] == [time for time, _ in deltas[number]]
        for (_, total), (_, delta) in zip(points, deltas[number], strict=True):
            assert 1 / 4.001 < total / delta < 4.001


@pytest.mark.parametrize("kind", ["counter", "explicit"])
def test_an_increase_is_what_happened(door: Door, planted: list[list[Happening]], kind: str) -> None:
    """Everything that ended within the window, in the step that it ended in, whole numbers beyond 2^53 as well."""
    found = read(door, f"cumulative.{kind}", aggregation="increase", step="1m")
    for number, happenings in enumerate(planted):
        expected: dict[float, int] = {}
        for each in happenings:
            if each.end >= 0:
                slot = min(int(each.end // 60), LENGTH // 60 - 1) * 60.0
                expected[slot] = expected.get(slot, 0) + sum(each.counts)
        assert dict(found[number]) == expected


def test_the_increase_of_a_group_is_the_sum_of_its_series(door: Door) -> None:
    """Never a difference across two of them."""
    apart = read(door, "cumulative.counter", aggregation="increase", step="1m")
    (together,) = door.items(
        "/api/v1/metrics/cumulative.counter", [("group_by", "")], **WINDOW, aggregation="increase", step="1m"
    )
    expected: dict[float, int] = {}
    for points in apart.values():
        for time, value in points:
            expected[time] = expected.get(time, 0) + value
    assert {(time - T0) / SECOND: value for time, value in together["points"]} == expected
    assert together["series_count"] == HISTORIES
