"""What is known of organizations, from the registry's events."""

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from tejido_notifications.models import KnownOrganization
from tejido_shared.contracts import Envelope, OrganizationChanged


def remember_organization(session: Session, event: OrganizationChanged, envelope: Envelope) -> None:
    """Keeps the organization's public state. What is older than what is known is ignored."""
    row = insert(KnownOrganization).values(
        id=event.organization_id,
        version=envelope.subject_version,
        number=event.number,
        name=event.name,
        organization_type=event.organization_type,
        status=event.status,
        territory=event.territory,
        themes=event.themes,
        merged_into=event.merged_into,
        allowed=[one.purpose for one in event.standing if one.allowed],
    )
    newer = {column.name: column for column in row.excluded if column.name != "id"}
    older = KnownOrganization.version < row.excluded.version
    session.execute(row.on_conflict_do_update(index_elements=["id"], set_=newer, where=older))
