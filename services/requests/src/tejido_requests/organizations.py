"""Organizations as this service knows them from the registry's events, and where one that was merged lives on."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_requests.models import KnownOrganization

LONGEST_LINE = 20
"""How often an organization may have been merged into another that was merged in its turn."""


def survivor(session: Session, organization_id: UUID) -> UUID:
    """The organization in which this one lives on: itself, unless it was merged."""
    for _ in range(LONGEST_LINE):
        one = session.get(KnownOrganization, organization_id)
        if one is None or one.merged_into is None:
            break
        organization_id = one.merged_into
    return organization_id


def family(session: Session, organization_id: UUID) -> set[UUID]:
    """The organizations that live on in the same one as this."""
    line = sa.select(sa.literal(survivor(session, organization_id), sa.Uuid).label("id")).cte(recursive=True)
    line = line.union(sa.select(KnownOrganization.id).where(KnownOrganization.merged_into == line.c.id))
    return {organization_id, *session.scalars(sa.select(line.c.id))}
