"""A real ClickHouse as a child process of ours, out of the wheel chdb-core.

Kept empty on purpose: the child imports this package too, and it should start fast.
"""
