"""What every organization's point lies in, found anew after shapes changed. Takes a session, commits nothing."""

from uuid import UUID

from sqlalchemy.orm import Session

from tejido_registry import service
from tejido_registry.territories import queries, schemas
from tejido_registry.territories.service import places

BATCH = 1000


def locate(session: Session, after: UUID | None = None, limit: int = BATCH) -> tuple[schemas.Located, UUID | None]:
    """Finds anew what the next organizations' points lie in. Returns where to go on, none when all are done.

    What somebody typed stays where it disagreed with the point already; an area that was the point's, or none, and a barrio that was
    none, become what is found now. The history says so, and the other services are told. Repeating it changes nothing.
    """
    organizations = queries.with_point(session, after, limit)
    found = places(session, [(one.latitude, one.longitude) for one in organizations])
    changed, moved = 0, []
    for organization, at in zip(organizations, found, strict=True):
        before = organization.area
        if before in (None, organization.area_found) and at.area is not None:
            organization.area = at.area
        organization.area_found = at.area
        organization.neighborhood = organization.neighborhood or at.neighborhood
        changed += session.is_modified(organization)
        if organization.area != before:
            moved.append(organization)
            service.record(session, organization, "located", None, before=before, after=organization.area)
    service.flush(session)
    if moved:
        service.announce(session, moved)
    outside = sum(at.warning is not None for at in found)
    counts = schemas.Located(looked_at=len(found), changed=changed, outside=outside)
    return counts, organizations[-1].id if len(organizations) == limit else None
