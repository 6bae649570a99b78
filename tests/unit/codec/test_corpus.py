"""Bodies that real SDKs sent: all of them decode whole, and every feature counted in them is in the columns."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.codec.contract import Bounds, Encoding
from app.codec.reference import ReferenceDecoder
from app.model import Chunk, Signal
from app.settings import LimitSettings

CORPUS = Path(__file__).parents[2] / "data" / "otlp"
EXPECTED = {
    line["path"].removeprefix("otlp/"): line["features"]
    for line in map(json.loads, (CORPUS / "otlp_expected.jsonl").read_text().splitlines())
}
KINDS = {
    "s": "string_value",
    "i": "int_value",
    "d": "double_value",
    "b": "bool_value",
    "y": "bytes_value",
    "e": "None",
}
WORDS = {
    "stringValue": "string_value",
    "intValue": "int_value",
    "doubleValue": "double_value",
    "boolValue": "bool_value",
    "bytesValue": "bytes_value",
}
TYPES = {1: "sum", 2: "gauge", 3: "histogram", 4: "summary", 5: "exponential_histogram", 6: "sum"}


def decode(path: str) -> Chunk:
    signal = next(
        signal
        for word, signal in (("trace", Signal.TRACES), ("metric", Signal.METRICS), ("log", Signal.LOGS))
        if word in path.lower().split("/")[-1]
    )
    encoding = Encoding.JSON if path.endswith(".json") else Encoding.PROTOBUF
    bounds = Bounds(LimitSettings(), 2**60, 0, 2**64 - 1)
    return ReferenceDecoder().decode(signal, encoding, (CORPUS / path).read_bytes(), bounds)


def kinds(letter: str, text: str) -> Iterator[str]:
    """The kinds of a value and of all values in it, as the oracle names them."""
    match letter:
        case "a" | "m":
            yield from plain_kinds(json.loads(text))
        case "A" | "M":
            yield from exact_kinds(json.loads(text))
        case _:
            yield KINDS[letter]


def plain_kinds(value: object) -> Iterator[str]:
    match value:
        case bool():
            yield "bool_value"
        case int():
            yield "int_value"
        case float():
            yield "double_value"
        case str():
            yield "string_value"
        case list():
            yield "array_value"
            yield from (f"arr.{kind}" for item in value for kind in plain_kinds(item))
        case dict():
            yield "kvlist_value"
            yield from (f"kv.{kind}" for item in value.values() for kind in plain_kinds(item))


def exact_kinds(value: dict[str, Any]) -> Iterator[str]:
    match value:
        case {"arrayValue": {"values": items}}:
            yield "array_value"
            yield from (f"arr.{kind}" for item in items for kind in exact_kinds(item))
        case {"kvlistValue": {"values": items}}:
            yield "kvlist_value"
            yield from (f"kv.{kind}" for item in items for kind in exact_kinds(item["value"]))
        case {}:
            yield "None" if not value else WORDS[next(iter(value))]


def count_values(found: Counter[str], prefix: str, entries: Iterable[tuple[str, str]]) -> None:
    found.update(prefix + kind for letter, text in entries for kind in kinds(letter, text))


def features(chunk: Chunk) -> dict[str, int]:
    found: Counter[str] = Counter()
    columns = chunk.columns
    for (_, texts), letters in zip(columns["attributes_map"], columns["attributes_types"], strict=True):
        count_values(found, "attr.", zip(letters, texts, strict=True))
    if chunk.signal is Signal.METRICS:
        metric_features(found, columns)
        return dict(found)
    if chunk.signal is Signal.LOGS:
        found["log"] = chunk.rows
        found.update(f"sev{severity}" for severity in columns["severity_number"])
        for letter, text in zip(columns["body_type"], columns["body"], strict=True):
            count_values(found, "body.", [(letter or "e", text)])
        found["trace"] = sum(trace_id != bytes(16) for trace_id in columns["trace_id_bytes"])
        found["event_name"] = sum(name != "" for name in columns["event_name"])
        return dict(found)
    found["span"] = chunk.rows
    found.update(f"kind{kind}" for kind in columns["span_kind"])
    found.update(f"status{code}" for code in columns["status_code"])
    found["events"] = sum(map(len, columns["events.name"]))
    found["links"] = sum(map(len, columns["links.span_id"]))
    found["flags"] = sum(flags != 0 for flags in columns["flags"])
    found["tracestate"] = sum(state != "" for state in columns["trace_state"])
    for name, column in (
        ("attr", "dropped_attributes_count"),
        ("ev", "dropped_events_count"),
        ("link", "dropped_links_count"),
    ):
        found[f"dropped_{name}"] = sum(columns[column])
    # The oracle counts resources and scopes once a message; a request of the corpus never has two equal ones.
    for prefix, column in (("res.", "resource"), ("scope.", "scope")):
        keys = ("resource",) if column == "resource" else ("resource", "scope_name", "scope_version", "scope")
        distinct = {tuple(columns[key][row] for key in keys): columns[column][row] for row in range(chunk.rows)}
        for text in distinct.values():
            count_values(found, prefix, [(letter, value) for _, letter, value in json.loads(text or "[]")])
    return dict(found)


def metric_features(found: Counter[str], columns: dict[str, list[Any]]) -> None:
    for kind, temporality, is_monotonic in zip(
        columns["metric_type"], columns["aggregation_temporality"], columns["is_monotonic"], strict=True
    ):
        found[f"{TYPES[kind]} temp{temporality} {'mono' if is_monotonic else ''}"] += 1
    found["exemplars"] = sum(map(len, columns["exemplars.value"]))
    found["flags"] = sum(flags != 0 for flags in columns["flags"])
    for kind, value_type in zip(columns["metric_type"], columns["value_type"], strict=True):
        if TYPES[kind] in {"sum", "gauge"}:
            found[f"num {('None', 'as_double', 'as_int')[value_type]}"] += 1


@pytest.mark.parametrize("path", EXPECTED)
def test_a_captured_body_decodes_whole(path: str) -> None:
    assert decode(path).rejections.message == ""


@pytest.mark.parametrize("path", EXPECTED)
def test_every_feature_of_a_captured_body_is_in_the_columns(path: str) -> None:
    found = {name: count for name, count in features(decode(path)).items() if count}
    expected = dict(EXPECTED[path])
    if path.endswith(".json") and "attr.None" in expected:
        # JavaScript writes NaN as {"doubleValue": null}. The oracle reads no value there, OTLP/JSON wants the double.
        expected["attr.double_value"] += expected.pop("attr.None")
    assert found == expected


def test_model_calls_and_tools_of_the_genai_capture_are_recognised() -> None:
    columns = decode("genai/0001_v1_traces.pb").columns
    known = Counter(zip(columns["operation_name"], columns["llm_system"], columns["tool_name"], strict=True))
    assert known == {
        ("invoke_agent", "", ""): 1,
        ("chat", "openai", ""): 4,
        ("embeddings", "openai", ""): 1,
        ("execute_tool", "", "get_weather"): 1,
    }
