"""The seam: which handler receives what. What this service publishes is emitted in `service.py`.

A handler only decides that somebody is to be told, or forgets; sending is a task. What it cannot do (an unknown office, a field sealed
with a key that is not configured) it raises, and the event ends as a dead letter that says so and can be replayed.
"""

from sqlalchemy.orm import Session

from tejido_notifications import service
from tejido_notifications.settings import jurisdiction
from tejido_shared.contracts import (
    Envelope,
    Event,
    RequestAnswered,
    RequestBecameOverdue,
    RequestCompletionAsked,
    RequestDueDateMoved,
    RequestErased,
    RequestExtensionAnnounced,
    RequestMessageUndelivered,
    RequestReminder,
    RequestSubmitted,
    RequestTransferred,
    RequestWithdrawn,
)
from tejido_shared.inbox import Handler
from tejido_shared.personal import unseal

ForCitizens = (
    RequestSubmitted
    | RequestCompletionAsked
    | RequestExtensionAnnounced
    | RequestDueDateMoved
    | RequestTransferred
    | RequestWithdrawn
    | RequestAnswered
)


def _tell_citizen(session: Session, event: ForCitizens, envelope: Envelope) -> None:
    """What was done with the citizen's request. Nothing for a citizen who left no e-mail address."""
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
        recipient=service.office(event.office).head_email,
        language=_staff_language(),
        send_from=event.send_from,
    )


def _remind(session: Session, event: RequestReminder, envelope: Envelope) -> None:
    """One message to each address, however many of those named share it."""
    told: set[str] = set()
    for whom in event.to:
        audience, recipient = _addressee(event, whom)
        if recipient.casefold() not in told:
            told.add(recipient.casefold())
            service.queue(
                session,
                event,
                envelope,
                audience=audience,
                recipient=recipient,
                language=_staff_language(),
                send_from=event.send_from,
            )


def _ask_another_way(session: Session, event: RequestMessageUndelivered, envelope: Envelope) -> None:
    audience, recipient = _addressee(event, "assignee")
    service.queue(
        session,
        event,
        envelope,
        audience=audience,
        recipient=recipient,
        language=_staff_language(),
        send_from=event.send_from,
    )


def _erase(session: Session, event: RequestErased, _: Envelope) -> None:
    service.erase(session, event.request_id, event.erased_at)


def _addressee(event: RequestReminder | RequestMessageUndelivered, whom: str) -> tuple[str, str]:
    """Audience and address. The office answers for an officer whose address is not known."""
    match whom:
        case "assignee" if event.assignee_email is not None:
            return "assignee", unseal(event.assignee_email)
        case "assignee" | "office":
            return "office", service.office(event.office).email
        case "head":
            return "office_head", service.office(event.office).head_email
        case "authority":
            return "authority", jurisdiction().procedure.authority_email
        case _:
            raise LookupError(f"a reminder to {whom}: nobody is known by that name")


def _staff_language() -> str:
    return jurisdiction().locale.partition("-")[0]


HANDLERS: dict[type[Event], Handler] = {
    RequestSubmitted: _tell_citizen,
    RequestCompletionAsked: _tell_citizen,
    RequestExtensionAnnounced: _tell_citizen,
    RequestDueDateMoved: _tell_citizen,
    RequestTransferred: _tell_citizen,
    RequestWithdrawn: _tell_citizen,
    RequestAnswered: _tell_citizen,
    RequestBecameOverdue: _alert_head,
    RequestReminder: _remind,
    RequestMessageUndelivered: _ask_another_way,
    RequestErased: _erase,
}
