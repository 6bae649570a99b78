"""What is planted is found by each route and each filter, and nothing else is."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import quote

import pytest

from app.codec.json_reader import read_request
from app.model import Signal
from tests.integration.clickhouse import ask, must
from tests.integration.query import world
from tests.integration.query.serving import Door, Plot
from tests.integration.query.world import BUY, EXACT, ORPHAN, QUIET, SECOND, SESSION, T0, WINDOW

TRACE = f"{BUY:032x}"


@pytest.fixture(scope="module", autouse=True)
def planted(plot: Plot) -> None:
    """The world is there."""
    plot.plant(Signal.TRACES, world.spans())
    plot.plant(Signal.LOGS, world.logs())
    plot.plant(Signal.TRACES, world.neighbour(), tenant="other")


SPAN_CASES = {
    "service": ({"service": "tools"}, {"execute_tool search", "another session"}),
    "span": ({"span": "chat m1"}, {"chat m1"}),
    "kind": ({"kind": "CLIENT"}, {"chat m1", "chat m2"}),
    "status": ({"status": "error"}, {"execute_tool search"}),
    "agent": ({"agent": "planner"}, {"invoke_agent planner"}),
    "model": ({"model": "m2"}, {"chat m2"}),
    "tool": ({"tool": "search"}, {"execute_tool search"}),
    "session": ({"session": SESSION}, {"invoke_agent planner", "chat m2"}),
    "user": ({"user": "u1"}, {"invoke_agent planner"}),
    "min_duration": ({"min_duration": "1.5s"}, {"POST /buy", "invoke_agent planner"}),
    "max_duration": ({"service": "shop", "max_duration": "500000000"}, {"chat m1", "chat m2"}),
    "trace_id": ({"trace_id": f"{ORPHAN:032X}"}, {"early child", "late child"}),
    "attribute-integer": ({"attribute": "http.status_code:200"}, {"POST /buy"}),
    "attribute-double": ({"attribute": "ratio:1.5"}, {"POST /buy"}),
    "attribute-boolean": ({"attribute": "vip:true"}, {"POST /buy"}),
    "attribute-second-of-a-doubled-key": ({"attribute": "big:1"}, {"exact"}),
    "attribute-of-the-resource": ({"attribute": "resource.host.name:host of lost"}, {"early child", "late child"}),
    "attribute-missing-is-not-empty": ({"attribute": "vip:"}, set()),
    "attribute-key-of-another": ({"attribute": "ratio:true"}, set()),
    "all-together": (
        {"service": "shop", "model": "m1", "kind": "client", "attribute": "gen_ai.operation.name:chat"},
        {"chat m1"},
    ),
    "nothing": ({"service": "shop", "model": "m3"}, set()),
}


@pytest.mark.parametrize(("filters", "expected"), SPAN_CASES.values(), ids=SPAN_CASES)
def test_spans_are_found_by_each_filter(door: Door, filters: dict[str, str], expected: set[str]) -> None:
    """Exactly those that have it."""
    found = [item["span_name"] for item in door.items("/api/v1/spans", **WINDOW, **filters)]
    assert sorted(found) == sorted(expected)


TRACE_CASES = {
    "service": ({"service": "tools"}, {BUY}),
    "same-span-has-it-all": ({"service": "tools", "model": "m1"}, set()),
    "model": ({"model": "m1"}, {BUY}),
    "min_duration-means-the-trace": ({"service": "tools", "min_duration": "1s"}, {BUY}),
    "max_duration-means-the-trace": ({"service": "tools", "max_duration": "1s"}, set()),
    "both-durations": ({"min_duration": "501ms", "max_duration": "501ms"}, {ORPHAN}),
    "attribute": ({"attribute": "resource.host.name:host of exact"}, {EXACT}),
}


@pytest.mark.parametrize(("filters", "expected"), TRACE_CASES.values(), ids=TRACE_CASES)
def test_traces_are_found_by_what_their_spans_have(door: Door, filters: dict[str, str], expected: set[int]) -> None:
    """One span of it has all that is asked for; lengths are the trace's."""
    found = [int(item["trace_id"], 16) for item in door.items("/api/v1/traces", **WINDOW, **filters)]
    assert sorted(found) == sorted(expected)


def test_a_summary_tells_the_whole_trace(door: Door) -> None:
    """Although only one of its spans was asked for."""
    (summary,) = door.items("/api/v1/traces", **WINDOW, model="m1")
    assert summary["root"]["span_name"] == "POST /buy"
    assert summary["root"]["is_orphan"] is False
    assert summary["services"] == ["shop", "tools"]
    assert (summary["span_count"], summary["error_count"]) == (6, 1)
    assert summary["duration_ns"] == 2 * SECOND
    assert summary["start"] == "2023-11-14T22:15:00.000000000Z"
    assert (summary["input_tokens"], summary["output_tokens"]) == (130, 27)  # not those of the agent around the calls
    assert (summary["agents"], summary["models"], summary["tools"]) == (["planner"], ["m1", "m2"], ["search"])


def test_without_a_root_the_earliest_span_stands_for_it(door: Door) -> None:
    """And it is said."""
    (summary,) = door.items("/api/v1/traces", **WINDOW, service="lost")
    assert summary["root"]["span_name"] == "early child"
    assert summary["root"]["is_orphan"] is True


LOG_CASES = {
    "severity-name": ({"service": "shop", "severity": "ERROR"}, {"no results from search", '["ÄRGER",1]'}),
    "severity-number": ({"service": "shop", "severity": "18"}, {'["ÄRGER",1]'}),
    "severity-by-its-word": ({"query": "cache", "severity": "WARN"}, {"cache miss"}),
    "severity-by-its-word-below": ({"query": "cache", "severity": "ERROR"}, set()),
    "query-any-case": ({"query": "payment accepted"}, {"Payment ACCEPTED for order 17"}),
    "query-all-words": ({"query": "17  order"}, {"Payment ACCEPTED for order 17"}),
    "query-a-missing-word": ({"query": "order 18"}, set()),
    "query-in-a-structured-body": ({"query": "ärger"}, {'["ÄRGER",1]'}),
    "trace_id": ({"trace_id": TRACE}, {"Payment ACCEPTED for order 17", "no results from search"}),
    "span_id": ({"span_id": f"{5:016x}"}, {"no results from search"}),
    "session": ({"session": SESSION}, {"session opened"}),
    "attribute": ({"attribute": "order:17"}, {"Payment ACCEPTED for order 17"}),
    "attribute-of-the-resource": (
        {"attribute": "resource.service.name:shop", "query": "cache"},
        {"cache miss"},
    ),
}


@pytest.mark.parametrize(("filters", "expected"), LOG_CASES.values(), ids=LOG_CASES)
def test_logs_are_found_by_each_filter(door: Door, filters: dict[str, str], expected: set[str]) -> None:
    """Exactly those that have it."""
    bodies = [item["body"] for item in door.items("/api/v1/logs", **WINDOW, **filters)]
    found = [
        body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        for body in bodies
    ]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("number", range(len(world.EVIL)), ids=[repr(evil) for evil in world.EVIL])
class TestWhateverIsInAParameterIsText:
    """P7 and P5: a strange value finds exactly the record that holds it."""

    @pytest.mark.parametrize("parameter", ["span", "session", "user"])
    def test_in_a_column(self, door: Door, number: int, parameter: str) -> None:
        """Quotes, braces, backslashes, NUL."""
        found = door.items("/api/v1/spans", **WINDOW, **{parameter: world.EVIL[number]})
        assert [item["span_name"] for item in found] == [world.EVIL[number]]

    def test_in_an_attribute(self, door: Door, number: int) -> None:
        """As its value."""
        found = door.items("/api/v1/spans", **WINDOW, attribute=f"text:{world.EVIL[number]}")
        assert [item["attributes"]["text"] for item in found] == [world.EVIL[number]]

    def test_as_the_key_of_an_attribute(self, door: Door, number: int) -> None:
        """Nobody has such a key; the question is answered all the same."""
        key = world.EVIL[number].replace(":", "")
        assert door.items("/api/v1/spans", **WINDOW, attribute=f"{key}:v") == []
        assert door.items("/api/v1/logs", **WINDOW, attribute=f"resource.{key}:v") == []

    def test_in_traces(self, door: Door, number: int) -> None:
        """The candidates have the same filters."""
        found = door.items("/api/v1/traces", **WINDOW, span=world.EVIL[number], min_duration="0")
        assert [item["root"]["span_name"] for item in found] == [world.EVIL[number]]

    def test_in_the_full_text(self, door: Door, number: int) -> None:
        """Words are cut at white space, so other records may hold them too."""
        found = door.items("/api/v1/logs", **WINDOW, service="evil", query=f"<{world.EVIL[number]}>")
        assert f"<{world.EVIL[number]}>" in [item["body"] for item in found]

    def test_in_the_path_of_a_session(self, door: Door, number: int) -> None:
        """A session id is free text."""

        answer = door.get(f"/api/v1/sessions/{quote(world.EVIL[number], safe='')}")
        assert answer.status == 200, answer.body
        assert [item["span_name"] for item in answer.tree["items"]] == [world.EVIL[number]]

    def test_in_the_path_of_a_service(self, door: Door, number: int) -> None:
        """So is a service's name."""

        assert door.items(f"/api/v1/services/{quote(world.EVIL[number], safe='')}/operations", **WINDOW) == []


def test_a_span_is_told_in_full(door: Door) -> None:
    """64-bit integers exact, NaN as OTLP/JSON says it, types kept."""
    (span,) = door.items("/api/v1/spans", **WINDOW, service="exact")
    assert (span["trace_id"], span["span_id"]) == (f"{EXACT:032x}", f"{1:016x}")
    assert span["timestamp_unix_nano"] == T0 + 300 * SECOND
    assert span["attributes"]["nan"] == "NaN"
    assert span["attributes"]["list"] == [1, 1.0, "x"]
    assert span["attributes"]["empty"] is None
    assert span["attributes"]["raw"] == "AP8="
    assert span["events"][0]["name"] == "event"
    assert span["links"][0]["trace_id"] == f"{7:032x}"
    assert (span["trace_state"], span["flags"], span["parent_span_id"]) == ("a=b", 0x301, "")
    assert span["resource"] == {"service.name": "exact", "host.name": "host of exact"}
    assert span["scope"] == {"name": "tests", "version": "", "attributes": {}}


def test_a_64_bit_integer_is_exact_in_json(door: Door) -> None:
    """No detour over doubles."""
    body = door.get("/api/v1/spans", **WINDOW, service="exact").body
    assert str(T0 + 300 * SECOND).encode() in body


def records_of(request: Any) -> list[bytes]:
    """Each span with its resource and scope, as bytes that can be compared."""
    return sorted(
        b"".join(part.SerializeToString(deterministic=True) for part in (group.resource, scoped.scope, span))
        for group in request.resource_spans
        for scoped in group.scope_spans
        for span in scoped.spans
    )


def otlp_spans(tree: object) -> list[bytes]:
    return records_of(read_request(Signal.TRACES, json.dumps(tree).encode()))


def test_a_trace_as_otlp_equals_what_was_sent(door: Door) -> None:
    """P5, from outside."""
    answer = door.get(f"/api/v1/traces/{EXACT:032x}", format="otlp")
    assert list(answer.tree) == ["resourceSpans"]
    sent = world.spans()
    for group in list(sent.resource_spans):
        if group.resource.attributes[0].value.string_value != "exact":
            sent.resource_spans.remove(group)
    assert otlp_spans(answer.tree) == records_of(sent)


def test_otlp_pages_are_linked(door: Door) -> None:
    """The body is plain OTLP, so the cursor stands in the header; following it walks all records once."""
    answer = door.get("/api/v1/spans", **WINDOW, service="quiet", format="otlp", limit="17")
    found: list[bytes] = []
    pages = 0
    while True:
        pages += 1
        found += otlp_spans(answer.tree)
        link = answer.headers.get("Link", "")
        if not link:
            break
        assert link.endswith('>; rel="next"')
        answer = door.get(link.split(">")[0].removeprefix("<"))
        assert answer.status == 200, answer.body
    assert (pages, len(found), len(set(found))) == (3, QUIET, QUIET)


def test_logs_as_otlp_are_plain(door: Door) -> None:
    """One member, as the signal calls it."""
    assert list(door.get("/api/v1/logs", **WINDOW, format="otlp", service="shop").tree) == ["resourceLogs"]


def test_a_trace_is_read_whole_beyond_max_result_rows(plot: Plot, door: Door) -> None:
    """Its bound is 100,000 spans, not the bound of lists; oldest first."""
    made = world.Spans()
    for number in range(world.MAX_ROWS + 20):
        made.add("long", f"step {number}", 0x3000, number + 1, at=2900 + number * 0.5)
    plot.plant(Signal.TRACES, made.request)
    answer = door.get(f"/api/v1/traces/{0x3000:032x}").tree
    assert [item["span_name"] for item in answer["items"]] == [
        f"step {number}" for number in range(world.MAX_ROWS + 20)
    ]
    assert (answer["truncated"], answer["next_cursor"]) == (False, None)
    walked = door.walk(f"/api/v1/traces/{0x3000:032x}", limit="7")
    assert walked == answer["items"]


def test_a_trace_is_found_by_its_id_in_either_case(door: Door) -> None:
    """Ids are hexadecimal."""
    answer = door.get(f"/api/v1/traces/{TRACE.upper()}").tree
    assert answer["trace_id"] == TRACE
    assert [item["span_id"] for item in answer["items"]] == [f"{number:016x}" for number in (1, 2, 3, 4, 5, 6)]
    assert answer["summary"]["span_count"] == 6


def test_a_trace_that_the_companion_does_not_know_is_found_all_the_same(plot: Plot, door: Door) -> None:
    """After a repair the companion table may lag behind; the spans decide."""

    made = world.Spans()
    made.add("repaired", "repaired", 0x4000, 1, at=3000)
    plot.plant(Signal.TRACES, made.request)
    login = plot.clickhouse.logins.migrate
    must(
        ask(
            plot.clickhouse.address,
            login,
            f"ALTER TABLE {plot.database}.otel_traces_trace_id_ts DELETE WHERE TraceId = '{0x4000:032x}'",
            mutations_sync="2",
        )
    )
    assert door.get(f"/api/v1/traces/{0x4000:032x}").status == 200
    assert [item["trace_id"] for item in door.items("/api/v1/traces", **WINDOW, service="repaired")] == [
        f"{0x4000:032x}"
    ]


def test_an_unknown_trace_is_not_found(door: Door) -> None:
    """404 names it."""
    answer = door.get(f"/api/v1/traces/{0xDEAD:032x}")
    assert (answer.status, answer.tree["parameter"]) == (404, "trace_id")


@pytest.mark.parametrize("trace_id", ["x", "00", "0" * 32, "g" * 32, "ab" * 17, "%00", "'%20OR%201=1"])
def test_what_is_no_trace_id_is_refused(door: Door, trace_id: str) -> None:
    """400, not 404: it can never be there."""
    answer = door.get(f"/api/v1/traces/{trace_id}")
    assert (answer.status, answer.tree["parameter"]) == (400, "trace_id")


def test_services_say_what_they_sent(door: Door) -> None:
    """Spans, errors, logs."""
    found = {item["name"]: item for item in door.items("/api/v1/services", **WINDOW)}
    assert set(found) >= {"shop", "tools", "lost", "exact", "quiet", "evil"}
    assert "secret" not in found
    assert (found["tools"]["span_count"], found["tools"]["error_count"]) == (2, 1)
    assert (found["shop"]["span_count"], found["shop"]["log_count"]) == (4, 6)


def test_services_are_walked_by_name(door: Door) -> None:
    """Small pages give the same list."""
    assert door.walk("/api/v1/services", **WINDOW, limit="2") == door.items("/api/v1/services", **WINDOW)


def test_operations_have_counts_and_durations(door: Door) -> None:
    """By span name and kind."""
    items = door.items("/api/v1/services/quiet/operations", **WINDOW)
    assert [(item["span_name"], item["span_kind"], item["span_count"]) for item in items] == [
        (f"GET /{number}", "SERVER", QUIET // 4) for number in range(4)
    ]
    assert items[0]["p95_duration_ns"] == items[0]["avg_duration_ns"] == items[0]["max_duration_ns"] == 1_000_000
    assert door.walk("/api/v1/services/quiet/operations", **WINDOW, limit="3") == items


@pytest.mark.parametrize(
    ("start", "end", "counted"),
    [
        (0, 3600, 2),  # touches two hours of the clock
        (-7200, 7200, 2),  # holds whole hours
        (100.2, 100.8, 2),  # both ends belong to it
        (100.3, 100.8, 1),
        (100.2, 100.7, 1),
        (100.3, 100.7, 0),
    ],
)
def test_summaries_are_exact_at_the_ends_of_the_window(door: Door, start: float, end: float, counted: int) -> None:
    """Whole hours come from the states, the rest from the spans."""
    window = {"start": str(T0 + round(start * SECOND)), "end": str(T0 + round(end * SECOND))}
    assert sum(item["call_count"] for item in door.items("/api/v1/llm", **window)) == counted


def test_models_are_summed_up(door: Door) -> None:
    """Calls, durations and tokens."""
    (item,) = door.items("/api/v1/llm", **WINDOW, model="m1", provider="acme", service="shop")
    assert item["call_count"] == 1
    assert (item["input_tokens"], item["output_tokens"]) == (100, 20)
    assert item["avg_duration_ns"] == item["p50_duration_ns"] == SECOND // 2
    assert [item["llm_model"] for item in door.walk("/api/v1/llm", **WINDOW, limit="1")] == ["m1", "m2"]


def test_agents_are_summed_up(door: Door) -> None:
    """Runs, failures, tokens."""
    (item,) = door.items("/api/v1/agents", **WINDOW)
    assert (item["agent_name"], item["execution_count"], item["error_count"]) == ("planner", 1, 0)
    assert door.items("/api/v1/agents", **WINDOW, agent="nobody") == []


def test_tools_are_summed_up(door: Door) -> None:
    """Runs and failures."""
    (item,) = door.items("/api/v1/tools", **WINDOW, tool="search")
    assert (item["service_name"], item["execution_count"], item["error_count"]) == ("tools", 1, 1)


def test_a_session_is_told_as_a_story(door: Door) -> None:
    """Its spans and the nameless ones of its traces, in time order, with what was logged on the way."""

    answer = door.get(f"/api/v1/sessions/{quote(SESSION)}").tree
    assert [(item["step"], item["span_name"]) for item in answer["items"]] == [
        ("other", "POST /buy"),
        ("agent", "invoke_agent planner"),
        ("model_call", "chat m1"),
        ("model_call", "chat m2"),
        ("tool", "execute_tool search"),
    ]
    assert [[log["body"] for log in item["logs"]] for item in answer["items"]] == [
        [],
        [],
        ["Payment ACCEPTED for order 17"],
        [],
        ["no results from search"],
    ]
    assert [log["body"] for log in answer["logs"]] == ["session opened"]
    summary = answer["summary"]
    assert (summary["span_count"], summary["error_count"], summary["trace_count"]) == (5, 1, 1)
    assert (summary["model_call_count"], summary["tool_call_count"]) == (2, 1)
    assert (summary["input_tokens"], summary["output_tokens"]) == (130, 27)
    assert (summary["agents"], summary["users"]) == (["planner"], ["u1"])


def test_a_story_is_walked_without_losing_a_log(door: Door) -> None:
    """Each step and each log record is on one page."""

    path = f"/api/v1/sessions/{quote(SESSION)}"
    whole = door.get(path).tree
    cursor: dict[str, str] = {}
    steps, logged = [], []
    while True:
        page = door.get(path, limit="2", **cursor).tree
        steps += [item["span_id"] for item in page["items"]]
        logged += [log["body"] for item in page["items"] for log in item["logs"]] + [
            log["body"] for log in page["logs"]
        ]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert steps == [item["span_id"] for item in whole["items"]]
    assert sorted(logged) == ["Payment ACCEPTED for order 17", "no results from search", "session opened"]


def test_an_unknown_session_is_not_found(door: Door) -> None:
    """404 names it."""
    answer = door.get("/api/v1/sessions/nobody")
    assert (answer.status, answer.tree["parameter"]) == (404, "session_id")


def test_another_tenants_rows_are_nowhere(door: Door) -> None:
    """P7: same trace, same session, other tenant."""
    for path in (
        f"/api/v1/traces/{TRACE}",
        "/api/v1/sessions/sess%2F1%20%C3%A4%C3%B6",
        "/api/v1/services",
        "/api/v1/llm",
        "/api/v1/spans",
        "/api/v1/traces",
    ):
        parameters = {} if "/traces/" in path or "/sessions/" in path else WINDOW
        answer = door.get(path, **parameters)
        assert answer.status == 200
        assert b"secret" not in answer.body


def test_without_times_the_last_hour_is_meant(plot: Plot, door: Door) -> None:
    """What is sent now is seen, what is older is not."""
    made = world.Spans()
    now = (time.time_ns() - T0) / SECOND
    made.add("fresh", "fresh", 0x5000, 1, at=now - 10)
    made.add("fresh", "stale", 0x5001, 1, at=now - 3700)
    plot.plant(Signal.TRACES, made.request)
    assert [item["span_name"] for item in door.items("/api/v1/spans", service="fresh")] == ["fresh"]


def test_pages_walk_each_row_once_while_others_insert(plot: Plot, door: Door) -> None:
    """Keyset pagination: rows that were there at the start come once, whatever is added meanwhile."""
    before = {item["trace_id"] for item in door.walk("/api/v1/spans", **WINDOW, service="watched")}
    count = 0

    def insert() -> None:
        nonlocal count
        made = world.Spans()
        for number in range(3):  # before, at and after the place where the walk is
            made.add("watched", "added", 0x6000 + 10 * count + number, 1, at=(990, 1010, 1030)[number])
        count += 1
        plot.plant(Signal.TRACES, made.request)

    walked = [item["trace_id"] for item in door.walk("/api/v1/spans", insert, **WINDOW, service="watched", limit="9")]
    assert count >= 4
    assert len(walked) == len(set(walked))
    assert before <= set(walked)


def test_trace_pages_walk_each_trace_once_while_others_insert(plot: Plot, door: Door) -> None:
    """Likewise for summaries, two of which share each instant."""
    before = [item["trace_id"] for item in door.walk("/api/v1/traces", **WINDOW, service="watched", limit="50")]
    count = 0

    def insert() -> None:
        nonlocal count
        made = world.Spans()
        made.add("watched", "added", 0x7000 + count, 1, at=1040)
        count += 1
        plot.plant(Signal.TRACES, made.request)

    walked = [item["trace_id"] for item in door.walk("/api/v1/traces", insert, **WINDOW, service="watched", limit="7")]
    assert count >= 4
    assert walked == before


def test_a_walk_keeps_the_now_of_its_first_page(plot: Plot, door: Door) -> None:
    """The window is the same on every page."""
    made = world.Spans()
    now = (time.time_ns() - T0) / SECOND
    for number in range(4):
        made.add("walk", f"{number}", 0x8000 + number, 1, at=now - 5 - number)
    plot.plant(Signal.TRACES, made.request)
    first = door.get("/api/v1/spans", service="walk", limit="2").tree
    second = door.get("/api/v1/spans", service="walk", limit="2", cursor=first["next_cursor"]).tree
    assert second["window"] == first["window"]
    assert [item["span_name"] for item in first["items"] + second["items"]] == ["0", "1", "2", "3"]
