"""The four queries that the names of the data model were made for: what people ask about their agents, as SQL."""

from __future__ import annotations

SESSION = """
SELECT
    trace_id,
    span_name,
    timestamp,
    duration_ns / 1e9 AS duration_seconds,
    status_code
FROM spans
WHERE session_id = 'sess-123'
ORDER BY timestamp ASC;
"""

AGENTS = """
SELECT
    agent_name,
    count() AS execution_count,
    avg(duration_ns) / 1e9 AS avg_duration_seconds,
    quantile(0.95)(duration_ns) / 1e9 AS p95_duration,
    countIf(status_code = 'ERROR') / count() * 100 AS error_rate_percent
FROM spans
WHERE span_name = 'agent.run'
  AND timestamp >= now() - INTERVAL 1 DAY
GROUP BY agent_name
ORDER BY execution_count DESC;
"""

SLOW = """
SELECT
    trace_id,
    service_name,
    agent_name,
    timestamp,
    duration_ns / 1e9 AS duration_seconds
FROM spans
WHERE span_name = 'agent.run'
  AND duration_ns > 5e9  -- > 5 seconds
  AND timestamp >= now() - INTERVAL 1 HOUR
ORDER BY duration_ns DESC
LIMIT 10;
"""

TOKENS = """
SELECT
    llm_model,
    count() AS call_count,
    sum(JSONExtractInt(attributes, 'token_count')) AS total_tokens,
    avg(duration_ns) / 1e9 AS avg_latency
FROM spans
WHERE span_name = 'llm.generate'
  AND timestamp >= now() - INTERVAL 1 DAY
GROUP BY llm_model;
"""
