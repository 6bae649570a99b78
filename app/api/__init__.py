"""The door for people: REST, operation, documentation. Raises nothing: every error ends here as a problem."""

from app.api.application import create_api
from app.api.ops import Readiness

__all__ = ["Readiness", "create_api"]
