"""The seam: which handler receives what. What this service publishes is emitted in `service.py`."""

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from tejido_projects.models import KnownOrganization
from tejido_shared.contracts import Envelope, Event, OrganizationChanged
from tejido_shared.inbox import Handler


def _remember_organization(session: Session, event: OrganizationChanged, envelope: Envelope) -> None:
    values = {
        "version": envelope.subject_version,
        "number": event.number,
        "name": event.name,
        "organization_type": event.organization_type,
        "status": event.status,
        # An event of before standing was told says nothing of it, which is not the same as that nothing is allowed.
        "standing": {one.purpose: one.reasons for one in event.standing} or None,
        "mandate_until": event.mandate_until,
        "merged_into": event.merged_into,
    }
    row = insert(KnownOrganization).values(id=event.organization_id, **values)
    session.execute(
        row.on_conflict_do_update(
            index_elements=["id"],
            set_={name: row.excluded[name] for name in values},
            where=row.excluded.version > KnownOrganization.version,
        )
    )


HANDLERS: dict[type[Event], Handler] = {OrganizationChanged: _remember_organization}
