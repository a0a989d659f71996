"""The seam: which handler receives what. What this service publishes is emitted in `service.py`."""

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from tejido_projects.models import KnownOrganization
from tejido_shared.contracts import Envelope, Event, OrganizationChanged
from tejido_shared.inbox import Handler


def _remember_organization(session: Session, event: OrganizationChanged, envelope: Envelope) -> None:
    row = insert(KnownOrganization).values(
        id=event.organization_id,
        version=envelope.subject_version,
        number=event.number,
        name=event.name,
        organization_type=event.organization_type,
        status=event.status,
    )
    newer = {name: row.excluded[name] for name in ("version", "number", "name", "organization_type", "status")}
    session.execute(
        row.on_conflict_do_update(
            index_elements=["id"], set_=newer, where=row.excluded.version > KnownOrganization.version
        )
    )


HANDLERS: dict[type[Event], Handler] = {OrganizationChanged: _remember_organization}
