"""Bytes to columns and back: pure functions without I/O."""
