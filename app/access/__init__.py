"""Who may do what. Without configured credentials there is one anonymous principal of one tenant."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

TenantId = NewType("TenantId", str)

DEFAULT_TENANT = TenantId("default")


class Role(StrEnum):
    """What a principal may do."""

    READER = "reader"
    WRITER = "writer"
    OPERATOR = "operator"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking.

    Attributes:
        tenant: The only tenant whose data it sees or writes.
        roles: What it may do.
        services: Names of the services it is limited to; None: all of the tenant's.
    """

    tenant: TenantId
    roles: frozenset[Role]
    services: frozenset[str] | None = None


ANONYMOUS = Principal(DEFAULT_TENANT, frozenset(Role))
