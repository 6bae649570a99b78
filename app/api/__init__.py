"""The doors for people: REST under /api/v1, health, metrics and documentation."""
