"""The last look before a message that is no legal notice goes out: whether it still may."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from tejido_notifications.campaigns import queries
from tejido_notifications.campaigns.hours import in_office_hours
from tejido_notifications.campaigns.invitations import CAUSE
from tejido_notifications.contacts import service as contacts
from tejido_shared.clock import now


@dataclass(frozen=True)
class Stopped:
    """What becomes of a message instead of being sent: cancelled because of `why`; else put off until `until`, or held by a pause."""

    why: str | None = None
    until: datetime | None = None


def stopped(
    session: Session, *, channel: str, category: str, cause_type: str, cause_id: UUID, address: str | None
) -> Stopped | None:
    """Whether the message must not be sent now; none if it may.

    Asked with the row locked, and before every attempt, for a message may wait for days: its recipient may have opted out, the address
    may have bounced, quiet hours may have begun, its campaign may have been stopped. `address`: none if it cannot be decrypted.
    """
    if category == "legal" or channel == "webhook":
        return None
    instant = now()
    starts = instant
    if address is not None:
        known = contacts.known(session, contacts.marks(channel, address))
        if known is not None:
            if known.unwanted(category):
                return Stopped("unwanted")
            starts = known.after_quiet_hours(instant)
    if cause_type == CAUSE:
        campaign = queries.state(session, cause_id)
        if campaign is None or campaign.status == "cancelled":
            return Stopped("campaign_cancelled")
        if campaign.status == "paused":
            return Stopped()
        if campaign.office_hours:
            starts = max(starts, in_office_hours(instant))
    return Stopped(until=starts) if starts > instant else None
