"""Everything that can be asked, by topic, over one reader."""

from __future__ import annotations

import time
from collections.abc import Callable

from app.query import listing
from app.query.ask import Reader
from app.query.genai import GenAI
from app.query.metrics import Metrics
from app.query.services import Services
from app.query.sessions import Sessions
from app.query.traces import Traces
from app.settings import QuerySettings
from app.store.contract import Store


class Questions:
    """The read side.

    Attributes:
        spans: Spans as rows.
        logs: Log records as rows.
        traces: Traces as summaries, and one whole.
        services: Services and their operations.
        genai: Agents, model calls and tools.
        sessions: One session as a story.
        metrics: Metrics by name, their points and series.

    Args:
        store: ClickHouse as a user who may only read.
        settings: Bounds of every read.
        clock: Nanoseconds since 1970.
    """

    def __init__(self, store: Store, settings: QuerySettings, clock: Callable[[], int] = time.time_ns) -> None:
        reader = Reader(store, settings, clock)
        self.spans = listing.spans(reader)
        self.logs = listing.logs(reader)
        self.traces = Traces(reader)
        self.services = Services(reader)
        self.genai = GenAI(reader)
        self.sessions = Sessions(reader)
        self.metrics = Metrics(reader)
