"""The seam: which handler receives what. What the registry publishes is emitted in its use cases."""

from sqlalchemy.orm import Session

from tejido_registry.quality import service as quality
from tejido_shared.contracts import Envelope, Event, OrganizationUnreachable
from tejido_shared.inbox import Handler


def _note_bounce(session: Session, event: OrganizationUnreachable, _: Envelope) -> None:
    """The register knows mail addresses only: that a browser or a telephone is not reached says nothing of them."""
    if event.channel == "email":
        quality.note_bounce(session, event.organization_id, event.at)


HANDLERS: dict[type[Event], Handler] = {OrganizationUnreachable: _note_bounce}
