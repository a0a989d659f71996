"""What a report on a message means for the message and for the address. Takes a session, commits nothing."""

from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from tejido_notifications.bounces.reports import Report, words
from tejido_notifications.contacts import service as contacts
from tejido_notifications.delivery import queries as deliveries
from tejido_notifications.delivery import service as delivery_service
from tejido_notifications.models import Delivery

log = structlog.get_logger()


def report(session: Session, told: Report) -> bool:
    """Takes note of a report. Returns whether it changed something; a second one on the same message changes nothing.

    What bounced after it was accepted did not arrive: it falls to the next channel, and its address gets nothing but legal notices.
    """
    delivery = deliveries.one(session, told.delivery_id, lock=True) if told.delivery_id is not None else None
    with_id = {"delivery_id": str(delivery.id)} if delivery is not None else {}
    log.info("bounce_reported", kind=told.kind, known=delivery is not None, of_address=told.of_address, **with_id)
    if told.kind == "transient":
        return False
    recipient = _recipient(delivery) if delivery is not None else told.recipient
    reason = words(told.reason, recipient, told.recipient) or delivery_service.text("bounced")
    if told.kind == "complaint":
        return _complained(session, delivery, recipient)
    if delivery is not None:
        return _came_back(session, delivery, reason, recipient, of_address=_of_address(told, recipient))
    if told.delivery_id is not None or recipient is None:
        return False
    mark = contacts.marks("email", recipient)[0]
    contacts.bounced(session, mark, reason, "email", recipient)
    return True


def _came_back(session: Session, delivery: Delivery, reason: str, recipient: str | None, *, of_address: bool) -> bool:
    before = delivery.status
    with delivery_service.caused_by(delivery):
        delivery_service.bounced(session, delivery, reason)
    if before == "bounced" or delivery.status != "bounced":
        return False  # the second time, or when it is already known not to have arrived: the address may be verified anew since
    if of_address and delivery.fingerprint is not None:
        contacts.bounced(session, delivery.fingerprint, reason, delivery.channel, recipient)
    return True


def _of_address(told: Report, recipient: str | None) -> bool:
    """A report on somebody else is of one to whom the address passes mail on: others behind it may have got it."""
    if not told.of_address or told.recipient is None or recipient is None:
        return told.of_address
    return contacts.marks("email", told.recipient) == contacts.marks("email", recipient)


def _complained(session: Session, delivery: Delivery | None, recipient: str | None) -> bool:
    if recipient is None:
        return False
    category = delivery.category if delivery is not None else "campaign"
    contacts.complained(session, delivery.channel if delivery is not None else "email", recipient, category)
    return category != "legal"


def _recipient(delivery: Delivery) -> str | None:
    try:
        return delivery.recipient
    except ValueError:  # not with the keys we have
        return None


def message_id(text: str) -> UUID | None:
    """The delivery a Message-ID of ours names; none if it is not of ours."""
    try:
        return UUID(text.strip().strip("<>").partition("@")[0])
    except ValueError:
        return None
