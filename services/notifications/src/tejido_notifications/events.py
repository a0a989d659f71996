"""The seam: which handler receives what. What this service publishes is emitted in `service.py`.

A handler only decides that somebody is to be told; sending is a task. What it cannot do (an unknown office, a field sealed with a
key that is not configured) it raises, and the event ends as a dead letter that says so and can be replayed.
"""

from sqlalchemy.orm import Session

from tejido_notifications import service
from tejido_notifications.settings import jurisdiction
from tejido_shared.contracts import Envelope, Event, RequestAnswered, RequestBecameOverdue, RequestSubmitted
from tejido_shared.inbox import Handler
from tejido_shared.personal import unseal


def _tell_citizen(session: Session, event: RequestSubmitted | RequestAnswered, envelope: Envelope) -> None:
    """The acknowledgement, or the answer. Nothing for a citizen who left no e-mail address."""
    if event.recipient_email is not None:
        service.queue(
            session,
            event,
            envelope,
            audience="citizen",
            recipient=unseal(event.recipient_email),
            language=event.language,
        )


def _alert_head(session: Session, event: RequestBecameOverdue, envelope: Envelope) -> None:
    service.queue(
        session,
        event,
        envelope,
        audience="office_head",
        recipient=service.office_head(event.office),
        language=jurisdiction().locale.partition("-")[0],
    )


HANDLERS: dict[type[Event], Handler] = {
    RequestSubmitted: _tell_citizen,
    RequestAnswered: _tell_citizen,
    RequestBecameOverdue: _alert_head,
}
