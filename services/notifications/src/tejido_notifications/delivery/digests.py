"""Digests: what waited for one recipient goes out as one message."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_notifications.delivery import service
from tejido_notifications.letters import sources, writing
from tejido_notifications.letters.kinds import Digest, DigestItem
from tejido_notifications.models import Delivery
from tejido_shared.clock import now
from tejido_shared.ids import new_id

TEMPLATE = "notifications_digest"
MOST = 200
"""Messages one digest takes in; the rest are the next one's."""


def gather(session: Session) -> int:
    """Makes digests of the messages whose time has come. Returns how many messages they took in.

    What cannot be put into words stays what it was and is sent by itself, so that its own failure is seen.
    """
    due = sa.select(Delivery).where(Delivery.status == "held", Delivery.next_attempt_at <= now())
    due = due.order_by(Delivery.fingerprint, Delivery.created_at).limit(MOST).with_for_update(skip_locked=True)
    together: dict[tuple[bytes | None, str, str], list[Delivery]] = {}
    for delivery in session.scalars(due):
        together.setdefault((delivery.fingerprint, delivery.channel, delivery.language), []).append(delivery)
    return sum(_make(session, members) for members in together.values())


def _make(session: Session, members: list[Delivery]) -> int:
    recipient, items = "", list[tuple[Delivery, DigestItem]]()
    for delivery in members:
        content = service.content(session, delivery)
        if content is None:
            delivery.status = "pending"
            continue
        recipient, context = content
        try:
            letter = writing.write(
                sources.saved(session), delivery.cause_type, delivery.template, delivery.language, context
            )
            items.append((delivery, DigestItem(subject=letter.subject, at=delivery.occurred_at)))
        except writing.Unsendable:
            delivery.status = "pending"
    if len(items) < 2:
        for delivery, _ in items:
            delivery.status = "pending"
        return 0
    first, digest_id = items[0][0], new_id()
    session.add(
        Delivery(
            id=digest_id,
            cause_id=digest_id,
            cause_type="notifications.digest",
            about=digest_id,
            audience=first.audience,
            contact_id=first.contact_id,
            channel=first.channel,
            category="service",
            template=TEMPLATE,
            language=first.language,
            fingerprint=first.fingerprint,
            recipient=recipient,
            context=Digest(items=[item for _, item in items]).model_dump_json(),
            correlation_id=first.correlation_id,
            occurred_at=first.occurred_at,
        )
    )
    for delivery, _ in items:
        delivery.status, delivery.digest_id, delivery.next_attempt_at = "merged", digest_id, None
    session.flush()
    return len(items)
