"""Metrics as they are asked for: names, series step by step, and the points as they were sent."""

from __future__ import annotations

import math
from typing import Any, ClassVar
from urllib.parse import quote

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from app.codec.json_reader import read_request
from app.model import Signal
from tests.integration.query.points import DELTA, Points, at
from tests.integration.query.serving import Door, Plot
from tests.integration.query.test_refusals import problem_of
from tests.integration.query.world import EVIL, SECOND, T0

WINDOW = {"start": str(T0), "end": str(at(60))}
BIG = 2**53


def planted_points() -> Points:
    """A counter with a reset, gauges, and the rest, a minute of each."""
    made = Points()
    # 10 every 10 s, as a running total that starts with the window, restarts at 32 s and goes on.
    for seconds, value, start in ((10, 10, 0), (20, 20, 0), (30, 30, 0), (40, 8, 32), (50, 18, 32)):
        made.number("counter", "cpu/total", value, seconds, start=start, unit="s", state="user")
    # The same as deltas.
    for seconds, value, start in ((10, 10, 0), (20, 10, 10), (30, 10, 20), (40, 8, 32), (50, 10, 40)):
        made.number("counter", "cpu.delta", value, seconds, start=start, temporality=DELTA, state="user")
    # Two instances, one of which stops; seen before the window, starts unknown.
    for seconds in range(-20, 60, 10):
        made.number("counter", "requests", 100 + seconds, seconds, resource={"host.name": "a"}, code=200)
    for seconds in range(-20, 30, 10):
        made.number("counter", "requests", float(1000 + seconds), seconds, resource={"host.name": "b"}, code=500)
    # An exact one.
    for seconds, value in ((5, BIG), (15, BIG + 1), (25, BIG + 3)):
        made.number("counter", "exact", value, seconds)
    for moment, degrees in ((0, 1.0), (5, 3.0), (15, math.nan), (25, 7.0)):
        made.number("gauge", "temperature", degrees, moment, unit="Cel", room="kitchen")
    made.number("gauge", "temperature", 9.0, 26, unit="Cel", flags=1, room="kitchen")
    made.number("gauge", "temperature", None, 27, unit="Cel", room="kitchen")
    made.number("gauge", "temperature", 11, 28, unit="Cel", room="attic", service="home")
    for seconds, value, queue in ((1, 5, "a"), (2, 6, "a"), (3, 10, "b"), (11, -4, "a")):
        made.number("updown", "queue", value, seconds, queue=queue)
    made.number("gauge", "mixed", 1, 1)
    made.number("counter", "mixed", 1, 1)
    made.number("gauge", "units", 1, 1, unit="s")
    made.number("gauge", "units", 1000, 1, unit="ms")
    made.number("counter", "old", 100, 5, start=-10_000)
    made.number("counter", "old", 105, 15, start=-10_000)
    for seconds, value, start in ((5, 100, 5), (15, 107, 5), (25, 150, 25), (35, 153, 25)):
        made.number("counter", "unknown", value, seconds, start=start)
    return made


def planted_strange() -> Points:
    """Metrics with strange names, keys and values."""
    made = Points()
    for number, evil in enumerate(EVIL):
        labels: dict[str, Any] = {f"k {evil}": "v", "text": evil}
        made.number("gauge", f"evil {evil}", number, 1, **labels)
    return made


def planted_histograms() -> Points:
    """Histograms and summaries."""
    made = Points()
    bounds = (1.0, 2.0, 4.0)
    made.histogram("latency", (0, 0, 0, 0), bounds, 0, total=0.0, start=0, route="/")
    made.histogram("latency", (10, 0, 0, 0), bounds, 10, total=5.0, start=0, route="/")
    made.histogram("latency", (10, 10, 20, 0), bounds, 20, total=80.0, start=0, route="/")
    made.histogram("latency", (0, 4, 0, 0), bounds, 30, total=6.0, start=25, route="/")  # began anew
    made.histogram("latency", (0, 0, 0, 4), bounds, 20, start=10, temporality=DELTA, route="/x")  # no sum
    made.histogram("latency", (3, 3), (1.0,), 20, total=5.0, start=10, temporality=DELTA, route="/y")
    made.histogram("rebound", (2, 2), (1.0,), 10, start=0)
    made.histogram("rebound", (5, 3), (2.0,), 20, start=0)
    for seconds in (10, 20):
        made.histogram(
            "sizes", (1, 1), (5.0,), seconds, total=9.0, least=1.0, most=seconds, temporality=DELTA, route="/"
        )
    # Scale 0: bucket i is (2^i, 2^(i+1)].
    made.exponential("spread", 0, (0, (4,)), 10, start=0, route="/")
    made.exponential("spread", 0, (0, (4, 4)), 20, start=0, route="/")
    made.exponential("spread", -1, (0, (8, 8)), 30, start=0, route="/")  # (1, 4] and (4, 16]
    made.exponential("spread", 1, (2, (8,)), 20, start=10, temporality=DELTA, route="/x")  # (2, 2.83]
    made.summary("rpc", 10, 5.0, {0.5: 0.4, 0.99: 2.0}, 10, start=0)
    made.summary("rpc", 30, 25.0, {0.5: 0.6, 0.99: math.nan}, 20, start=0)
    return made


@pytest.fixture(scope="module", autouse=True)
def planted(plot: Plot) -> None:
    """The points are there."""
    plot.plant(Signal.METRICS, planted_points().request)
    plot.plant(Signal.METRICS, planted_histograms().request)
    plot.plant(Signal.METRICS, planted_strange().request)
    secret = Points()
    secret.number("counter", "cpu/total", 5, 10, start=0, service="secret")
    plot.plant(Signal.METRICS, secret.request, tenant="other")


def series(door: Door, name: str, *more: tuple[str, str], **parameters: str) -> dict[str, list[tuple[float, Any]]]:
    """Points by the labels' values, times as seconds after T0."""
    items = door.items(f"/api/v1/metrics/{quote(name)}", more, **{**WINDOW, **parameters})
    return {
        ",".join(map(str, item["labels"].values())): [((time - T0) / SECOND, value) for time, value in item["points"]]
        for item in items
    }


def test_a_list_names_each_metric_with_what_it_is(door: Door) -> None:
    """Everything needed to ask on."""
    (found,) = door.items("/api/v1/metrics", **WINDOW, name="CPU/", type="counter")
    assert found == {
        "name": "cpu/total",
        "type": "COUNTER",
        "unit": "s",
        "temporality": "CUMULATIVE",
        "description": "About cpu/total",
        "is_monotonic": True,
        "services": ["shop"],
        "label_keys": ["state"],
        "series_count": 1,
        "data_point_count": 5,
        "first": "2023-11-14T22:13:30.000000000Z",
        "first_unix_nano": at(10),
        "last": "2023-11-14T22:14:10.000000000Z",
        "last_unix_nano": at(50),
    }


NAME_CASES = {
    "name": ({"name": "PU"}, ["cpu.delta", "cpu/total"]),
    "type": ({"type": "up_down_counter"}, ["queue"]),
    "service": ({"service": "home"}, ["temperature"]),
    "attribute": ({"attribute": "code:500"}, ["requests"]),
    "attribute-of-the-resource": ({"attribute": "resource.host.name:a"}, ["requests"]),
    "twice-for-two-types": ({"name": "mixed"}, ["mixed", "mixed"]),
    "nothing": ({"name": "secret"}, []),
}


@pytest.mark.parametrize(("filters", "expected"), NAME_CASES.values(), ids=NAME_CASES)
def test_metrics_are_found_by_each_filter(door: Door, filters: dict[str, str], expected: list[str]) -> None:
    """Exactly those that have it, by name."""
    assert [item["name"] for item in door.items("/api/v1/metrics", **WINDOW, **filters)] == expected


@pytest.mark.parametrize("limit", ["1", "3"])
def test_pages_of_names_join_to_the_whole_list(door: Door, limit: str) -> None:
    """Each item once, in order, also where a name has several."""
    whole = door.items("/api/v1/metrics", **WINDOW, name="m")
    assert [item["type"] for item in whole if item["name"] == "mixed"] == ["COUNTER", "GAUGE"]
    assert door.walk("/api/v1/metrics", **WINDOW, name="m", limit=limit) == whole


class TestCounters:
    """Rates and increases know temporality, resets and series."""

    @pytest.mark.parametrize("name", ["cpu/total", "cpu.delta"])
    def test_a_rate_is_per_second_over_resets(self, door: Door, name: str) -> None:
        """Both temporalities alike; what restarted at 32 s counts from there."""
        every = [(10, 1.0), (20, 1.0), (30, 1.0), (40, 1.0), (50, 1.0)]
        assert series(door, name, step="10s") == {"user": every}

    @pytest.mark.parametrize("name", ["cpu/total", "cpu.delta"])
    def test_an_increase_is_exact(self, door: Door, name: str) -> None:
        """And whole numbers stay whole."""
        found = series(door, name, step="30s", aggregation="increase")
        assert found == {"user": [(0, 20), (30, 28)]}
        assert all(isinstance(value, int) for _, value in found["user"])

    def test_the_point_before_the_window_is_what_the_first_one_is_compared_with(self, door: Door) -> None:
        """Both series began long ago, nobody knows when."""
        found = series(door, "requests", step="10s", aggregation="increase")
        assert found == {"200": [(second, 10) for second in range(0, 60, 10)], "500": [(0, 10), (10, 10), (20, 10)]}

    def test_a_first_point_without_a_start_only_tells_where_counting_is(self, door: Door) -> None:
        """Nothing is known of what came before it."""
        assert series(door, "exact", step="10s", aggregation="increase") == {"": [(10, 1), (20, 2)]}

    def test_a_first_point_that_started_too_long_ago_does_likewise(self, door: Door) -> None:
        """It counted most of it before the window."""
        assert series(door, "old", step="10s", aggregation="increase") == {"": [(10, 5)]}

    def test_a_start_at_the_points_own_time_says_unknown(self, door: Door) -> None:
        """At the beginning and in between."""
        assert series(door, "unknown", step="10s", aggregation="increase") == {"": [(10, 7), (30, 3)]}

    def test_beyond_2_to_the_53_nothing_is_rounded(self, door: Door) -> None:
        """As a Float64, 2^53 and 2^53 + 1 are the same."""
        assert series(door, "exact", step="10s", aggregation="last")[""] == [(0, BIG), (10, BIG + 1), (20, BIG + 3)]
        assert series(door, "exact", step="60s", aggregation="sum")[""] == [(0, 3 * BIG + 4)]
        assert series(door, "exact", aggregation="none")[""] == [(5, BIG), (15, BIG + 1), (25, BIG + 3)]

    def test_grouped_rates_add_up(self, door: Door) -> None:
        """Over series, never across them; the one that stopped half way gives half of a minute's rate."""
        assert series(door, "requests", ("group_by", ""), step="10s")[""][:4] == [
            (0, 2.0),
            (10, 2.0),
            (20, 2.0),
            (30, 1.0),
        ]
        assert series(door, "requests", ("group_by", ""), step="60s") == {"": [(0, 1.5)]}

    def test_a_group_key_may_be_of_the_resource(self, door: Door) -> None:
        """And several keys make finer groups."""
        found = series(door, "requests", ("group_by", "resource.host.name"), ("group_by", "code"), step="60s")
        assert found == {"a,200": [(0, 1.0)], "b,500": [(0, 0.5)]}


class TestNumbers:
    """What the points of a step become."""

    GAUGE: ClassVar[dict[str, list[tuple[float, Any]]]] = {
        "avg": [(0, 2.0), (20, 7.0)],
        "sum": [(0, 4.0), (20, 7.0)],
        "min": [(0, 1.0), (20, 7.0)],
        "max": [(0, 3.0), (20, 7.0)],
        "count": [(0, 2), (20, 1)],
        "last": [(0, 3.0), (20, 7.0)],
        "none": [(0, 1.0), (5, 3.0), (15, "NaN"), (25, 7.0)],
    }

    @pytest.mark.parametrize("aggregation", GAUGE)
    def test_a_gauge(self, door: Door, aggregation: str) -> None:
        """NaN and points without a recorded value are gaps."""
        step = {} if aggregation == "none" else {"step": "10s"}
        found = series(door, "temperature", service="shop", aggregation=aggregation, **step)
        assert found == {"kitchen": self.GAUGE[aggregation]}

    @pytest.mark.parametrize(("quantile", "expected"), [("0", 1.0), ("0.5", 3.0), ("0.75", 5.0), ("1", 7.0)])
    def test_a_quantile_of_points_lies_between_its_neighbours(self, door: Door, quantile: str, expected: float) -> None:
        """Of 1, 3 and 7."""
        found = series(door, "temperature", service="shop", quantile=quantile, step="60s")
        assert found == {"kitchen": [(0, expected)]}

    def test_newest_values_of_sums_add_up(self, door: Door) -> None:
        """Two queues hold 6 and 10."""
        assert series(door, "queue", ("group_by", ""), step="60s") == {"": [(0, -4 + 10)]}
        assert series(door, "queue", ("group_by", ""), step="10s") == {"": [(0, 16), (10, -4)]}

    def test_the_newest_gauge_of_a_group_is_one(self, door: Door) -> None:
        """Adding up temperatures says nothing."""
        found = series(door, "temperature", ("group_by", ""), aggregation="last", step="60s")
        assert found == {"": [(0, 11)]}

    def test_units_are_never_mixed(self, door: Door) -> None:
        """Also not in a group of all."""
        items = door.items("/api/v1/metrics/units", [("group_by", "")], **WINDOW, step="60s")
        assert [(item["unit"], item["points"][0][1]) for item in items] == [("ms", 1000), ("s", 1)]

    def test_a_point_at_the_end_belongs_to_the_last_step(self, door: Door) -> None:
        """A window has no step of one instant."""
        found = series(door, "exact", aggregation="count", step="10s", end=str(at(25)), start=str(at(5)))
        assert [value for _, value in found[""]] == [1, 2]


class TestHistograms:
    """Counts, sums and quantiles of what was measured in a step."""

    def test_a_quantile_is_of_the_step(self, door: Door) -> None:
        """Not of all since the start; after a reset, of what came since."""
        found = series(door, "latency", quantile="0.5", step="10s", attribute="route:/")
        assert found == {"/": [(10, 0.5), (20, 2.5), (30, 1.5)]}

    def test_above_the_last_bound_it_is_the_answer(self, door: Door) -> None:
        """As in Prometheus."""
        assert series(door, "latency", quantile="0.5", step="10s", attribute="route:/x") == {"/x": [(20, 4.0)]}

    def test_histograms_of_other_bounds_are_series_of_their_own(self, door: Door) -> None:
        """Their counts cannot be added."""
        items = door.items("/api/v1/metrics/latency", [("group_by", "")], **WINDOW, step="60s", quantile="0.5")
        found = [(item["explicit_bounds"], [value for _, value in item["points"]]) for item in items]
        assert found == [([1.0, 2.0, 4.0], [2.0]), ([1.0], [1.0])]

    def test_new_bounds_begin_anew(self, door: Door) -> None:
        """Counts of other bounds are nothing to compare with."""
        items = door.items("/api/v1/metrics/rebound", **WINDOW, step="10s", quantile="0.25")
        found = {item["explicit_bounds"][0]: item["points"] for item in items}
        assert found == {1.0: [[at(10), pytest.approx(0.5)]], 2.0: [[at(20), pytest.approx(0.8)]]}

    MEASURED: ClassVar[dict[str, list[tuple[float, float]]]] = {
        "count": [(0, 0), (10, 10), (20, 30), (30, 4)],
        "increase": [(0, 0), (10, 10), (20, 30), (30, 4)],
        "sum": [(0, 0.0), (10, 5.0), (20, 75.0), (30, 6.0)],
        "avg": [(10, 0.5), (20, 2.5), (30, 1.5)],
        "rate": [(10, 1.0), (20, 3.0), (30, 0.8)],
    }

    @pytest.mark.parametrize("aggregation", MEASURED)
    def test_numbers_of_a_histogram(self, door: Door, aggregation: str) -> None:
        """All of the step."""
        found = series(door, "latency", aggregation=aggregation, step="10s", attribute="route:/")["/"]
        assert [point for point in found if point[0] or point[1]] == [
            (time, pytest.approx(value)) for time, value in self.MEASURED[aggregation] if time or value
        ]

    def test_a_histogram_without_a_sum_has_no_average(self, door: Door) -> None:
        """It was not sent."""
        assert series(door, "latency", aggregation="avg", step="10s", attribute="route:/x") == {"/x": []}

    def test_extremes_of_deltas(self, door: Door) -> None:
        """Each of the step."""
        assert series(door, "sizes", aggregation="max", step="10s") == {"/": [(10, 10.0), (20, 20.0)]}
        assert series(door, "sizes", aggregation="min", step="60s") == {"/": [(0, 1.0)]}

    def test_exponential_quantiles_follow_the_scale(self, door: Door) -> None:
        """Half way up a bucket is its middle on the scale of logarithms; a lower scale takes its past along."""
        found = series(door, "spread", quantile="0.5", step="10s", attribute="route:/")["/"]
        assert found == [(10, pytest.approx(2**0.5)), (20, pytest.approx(2**1.5)), (30, pytest.approx(8.0))]

    def test_exponential_histograms_of_other_scales_merge(self, door: Door) -> None:
        """4 in (2, 4], and 8 in (2, 2.83]: brought to scale 0, all in (2, 4]."""
        found = series(door, "spread", ("group_by", ""), quantile="0.5", step="10s")[""]
        assert found[1] == (20, pytest.approx(2**1.5))

    def test_a_summary_counts_and_sums(self, door: Door) -> None:
        """Which it does since its start."""
        assert series(door, "rpc", step="10s") == {"": [(10, 0.5), (20, 1.0)]}
        assert series(door, "rpc", step="10s", aggregation="count") == {"": [(10, 10), (20, 20)]}

    def test_a_summary_gives_the_quantiles_it_has(self, door: Door) -> None:
        """The newest that is a number."""
        assert series(door, "rpc", step="60s", quantile="0.5") == {"": [(0, 0.6)]}
        assert series(door, "rpc", step="60s", quantile="0.99") == {"": [(0, 2.0)]}


@pytest.mark.parametrize("evil", EVIL, ids=repr)
class TestWhateverIsInAMetricIsText:
    """P7 and P5: a strange value finds exactly the metric that holds it."""

    def test_as_its_name(self, door: Door, evil: str) -> None:
        """In the path."""
        answer = door.get(f"/api/v1/metrics/{quote(f'evil {evil}', safe='')}", **WINDOW).tree
        assert answer["name"] == f"evil {evil}"
        assert [item["labels"]["text"] for item in answer["items"]] == [evil]

    def test_as_part_of_its_name(self, door: Door, evil: str) -> None:
        """In the list."""
        found = [item["name"] for item in door.items("/api/v1/metrics", **WINDOW, name=f"evil {evil}")]
        assert f"evil {evil}" in found

    def test_as_a_key_to_group_by(self, door: Door, evil: str) -> None:
        """And as the value of another."""
        path = f"/api/v1/metrics/{quote(f'evil {evil}', safe='')}"
        items = door.items(path, [("group_by", f"k {evil}"), ("group_by", "text")], **WINDOW)
        assert [item["labels"] for item in items] == [{f"k {evil}": "v", "text": evil}]


REFUSALS = {
    "an unknown aggregation": ("exact", {"aggregation": "median"}, "aggregation", "avg, sum"),
    "the rate of a gauge": ("temperature", {"aggregation": "rate"}, "aggregation", "is not for a GAUGE"),
    "the rate of an up-down counter": ("queue", {"aggregation": "increase"}, "aggregation", "UP_DOWN_COUNTER"),
    "histograms as they are": ("latency", {"aggregation": "none"}, "aggregation", "HISTOGRAM"),
    "extremes since the start": ("latency", {"aggregation": "max"}, "aggregation", "not DELTA"),
    "a step of nothing": ("exact", {"step": "0s"}, "step", "nothing"),
    "a step that is none": ("exact", {"step": "soon"}, "step", "duration"),
    "too many steps": ("exact", {"step": "1ms"}, "step", "11000"),
    "a quantile above 1": ("latency", {"quantile": "1.5"}, "quantile", "0 to 1"),
    "a quantile that is none": ("latency", {"quantile": "NaN"}, "quantile", "0 to 1"),
    "a quantile for nothing": ("latency", {"quantile": "0.5", "aggregation": "avg"}, "quantile", "avg"),
    "a quantile that is not stored": ("rpc", {"quantile": "0.9"}, "quantile", "0.5, 0.99"),
    "quantiles that cannot be merged": ("rpc", {"quantile": "0.5", "group_by": ""}, "group_by", "merged"),
    "several types": ("mixed", {}, "type", "COUNTER, GAUGE"),
    "a type that is none": ("exact", {"type": "number"}, "type", "GAUGE"),
    "groups of raw points": ("exact", {"aggregation": "none", "group_by": "a"}, "group_by", "none"),
    "an option of series for points": ("exact", {"format": "otlp", "aggregation": "avg"}, "aggregation", "parameter"),
    "an unknown parameter": ("exact", {"nope": "1"}, "nope", "parameter"),
}


@pytest.mark.parametrize(("name", "parameters", "culprit", "said"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_names_the_parameter_and_the_choices(
    door: Door, name: str, parameters: dict[str, str], culprit: str, said: str
) -> None:
    """P6."""
    refused = problem_of(door.get(f"/api/v1/metrics/{quote(name)}", **WINDOW, **parameters), 400, culprit)
    assert said in refused["detail"]


def test_one_of_several_types_can_be_asked_for(door: Door) -> None:
    """As the refusal says."""
    answer = door.get("/api/v1/metrics/mixed", **WINDOW, type="gauge").tree
    assert (answer["type"], answer["aggregation"], len(answer["items"])) == ("GAUGE", "avg", 1)


def test_a_metric_nobody_sent_has_no_series(door: Door) -> None:
    """As in a list."""
    answer = door.get("/api/v1/metrics/none/of/that", **WINDOW).tree
    assert (answer["name"], answer["items"], answer["truncated"]) == ("none/of/that", [], False)


def test_another_tenants_series_are_not_there(door: Door) -> None:
    """P7, for a metric that both have."""
    items = door.items("/api/v1/metrics/cpu/total", [("group_by", "service")], **WINDOW)
    assert [item["labels"] for item in items] == [{"service": "shop"}]


@pytest.mark.parametrize("parameters", [{}, {"group_by": "code"}, {"aggregation": "none"}])
def test_pages_of_series_join_to_all_series(door: Door, parameters: dict[str, str]) -> None:
    """Each once, in order, with all its points."""
    whole = door.items("/api/v1/metrics/requests", **WINDOW, **parameters)
    assert len(whole) == 2
    assert door.walk("/api/v1/metrics/requests", **WINDOW, **parameters, limit="1") == whole


def test_stored_points_come_back_page_by_page_as_sent(door: Door) -> None:
    """P5, for one metric: newest first, the next page in `Link`."""
    address = "/api/v1/metrics/cpu/total?format=otlp&limit=2&" + "&".join(f"{k}={v}" for k, v in WINDOW.items())
    times: list[int] = []
    while address:
        answer = door.get(address)
        assert answer.status == 200, answer.body
        request = read_request(Signal.METRICS, answer.body)
        assert isinstance(request, ExportMetricsServiceRequest)
        for group in request.resource_metrics:
            for metric in group.scope_metrics[0].metrics:
                assert metric.name == "cpu/total"
                times += [point.time_unix_nano for point in metric.sum.data_points]
        link = answer.headers.get("Link", "")
        address = link.partition(">")[0].removeprefix("<")
    assert times == [at(seconds) for seconds in (50, 40, 30, 20, 10)]
