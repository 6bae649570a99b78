"""The composition root: what exists, in which order it opens, and how it closes."""
