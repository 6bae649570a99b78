"""Our own logs and metrics."""
