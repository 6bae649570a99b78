"""ClickHouse, wherever it runs: the only room that speaks to it."""
