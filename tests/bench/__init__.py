"""Benchmarks: what `make bench` runs. Rows are counted in ClickHouse, CPU is read from /proc, the machine is named."""
