"""The last look before a message that is no legal notice goes out: whether it still may."""

from datetime import datetime

from sqlalchemy.orm import Session

from tejido_notifications.campaigns.hours import in_office_hours
from tejido_notifications.campaigns.invitations import CAUSE
from tejido_notifications.contacts import service as contacts
from tejido_notifications.models import Campaign, Delivery
from tejido_shared import i18n
from tejido_shared.clock import now


def may_go(session: Session, delivery: Delivery, address: str | None) -> bool:
    """Whether the message may be sent now. If not, it has become what it is instead: cancelled, held by a pause, or put off.

    Asked with the row locked, and before every attempt, for a message may wait for days: its recipient may have opted out, the address
    may have bounced, quiet hours may have begun, its campaign may have been stopped. `address`: none if it cannot be decrypted.
    """
    if delivery.category == "legal" or delivery.channel == "webhook":
        return True
    instant = now()
    starts = instant
    if address is not None:
        known = contacts.known(session, contacts.marks(delivery.channel, address))
        if known is not None:
            if known.unwanted(delivery.category):
                return _cancelled(delivery, "unwanted")
            starts = known.after_quiet_hours(instant)
    if delivery.cause_type == CAUSE:
        campaign = session.get(Campaign, delivery.cause_id)
        if campaign is None or campaign.status == "cancelled":
            return _cancelled(delivery, "campaign_cancelled")
        if campaign.status == "paused":
            return _put_off(delivery, None)
        if campaign.office_hours:
            starts = max(starts, in_office_hours(instant))
    if starts > instant:
        return _put_off(delivery, starts)
    return True


def _cancelled(delivery: Delivery, why: str) -> bool:
    delivery.status, delivery.next_attempt_at = "cancelled", None
    delivery.last_error = i18n.text("tejido_notifications", f"reply.{why}")
    return False


def _put_off(delivery: Delivery, until: datetime | None) -> bool:
    delivery.next_attempt_at = until
    return False
