"""Each refusal is counted; of each kind, ten a second are logged, and none of them shows the inside of a body."""

from __future__ import annotations

import logging

import pytest
import structlog
from structlog.testing import LogCapture

from app.errors import BufferFull, Undecodable
from app.model import Rejections, Signal
from app.pipeline.contract import Accepted
from app.receivers.answers import answer_for
from app.receivers.outcomes import LINES_PER_SECOND, Outcomes
from app.telemetry import metrics


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outcomes(clock: Clock) -> Outcomes:
    return Outcomes("test", clock=clock)


def refuse(outcomes: Outcomes, error: Exception) -> None:
    outcomes.refused(Signal.LOGS, answer_for(error), error, "1.2.3.4:5")


def counted(outcome: str) -> float:
    value: float = metrics.REQUESTS.labels("logs", "test", outcome)._value.get()
    return value


@pytest.fixture
def lines() -> LogCapture:
    capture = LogCapture()
    structlog.configure(processors=[capture])
    return capture


@pytest.fixture(autouse=True)
def _restored_logs() -> object:
    yield
    structlog.reset_defaults()


def test_a_refusal_leaves_one_line_with_its_reason(outcomes: Outcomes, lines: LogCapture) -> None:
    refuse(outcomes, Undecodable("kind is text"))
    [line] = lines.entries
    assert line == {
        "event": "request_refused",
        "log_level": "info",
        "transport": "test",
        "signal": "logs",
        "outcome": "undecodable",
        "status": 400,
        "reason": "kind is text",
        "peer": "1.2.3.4:5",
        "unlogged": 0,
        "exc_info": None,
    }


def test_a_bug_leaves_its_traceback(outcomes: Outcomes, lines: LogCapture) -> None:
    error = KeyError("x")
    refuse(outcomes, error)
    [line] = lines.entries
    assert (line["event"], line["log_level"], line["exc_info"]) == ("request_failed", "error", error)


def test_a_storm_of_refusals_leaves_ten_lines_a_second(outcomes: Outcomes, lines: LogCapture, clock: Clock) -> None:
    before = counted("busy")
    for _ in range(LINES_PER_SECOND + 5):
        refuse(outcomes, BufferFull("full"))
    assert len(lines.entries) == LINES_PER_SECOND
    clock.now += 1
    refuse(outcomes, BufferFull("full"))
    assert lines.entries[-1]["unlogged"] == 5
    assert counted("busy") - before == LINES_PER_SECOND + 6


def test_a_storm_of_one_kind_does_not_hide_another(outcomes: Outcomes, lines: LogCapture) -> None:
    for _ in range(LINES_PER_SECOND + 5):
        refuse(outcomes, BufferFull("full"))
    refuse(outcomes, Undecodable("no"))
    assert lines.entries[-1]["outcome"] == "undecodable"


@pytest.mark.parametrize(("is_partial", "outcome"), [(False, "ok"), (True, "partial")])
def test_an_accepted_request_is_counted_as_whole_or_partial(outcomes: Outcomes, is_partial: bool, outcome: str) -> None:
    rejections = Rejections()
    if is_partial:
        rejections.add("too_old", "1970")
    before = counted(outcome)
    outcomes.accepted(Signal.LOGS, Accepted(1, rejections), 10)
    assert counted(outcome) - before == 1


def test_an_accepted_request_is_logged_for_debugging_only(
    outcomes: Outcomes, lines: LogCapture, caplog: pytest.LogCaptureFixture
) -> None:
    outcomes.accepted(Signal.LOGS, Accepted(1, Rejections()), 10)
    assert not lines.entries
    with caplog.at_level(logging.DEBUG, "app.receivers.outcomes"):
        outcomes.accepted(Signal.LOGS, Accepted(1, Rejections()), 10)
    assert lines.entries[0]["event"] == "request_accepted"
