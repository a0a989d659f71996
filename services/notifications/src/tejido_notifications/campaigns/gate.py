"""The last look before a message that is no legal notice goes out: whether it still may."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from tejido_notifications.campaigns import queries
from tejido_notifications.campaigns.invitations import CAUSE
from tejido_notifications.campaigns.schemas import begins_at
from tejido_notifications.contacts import service as contacts
from tejido_notifications.hours import in_office_hours
from tejido_shared.clock import now


@dataclass(frozen=True)
class Stopped:
    """What becomes of a message instead of being sent: cancelled because of `why`; else put off until `until`, or held by a pause."""

    why: str | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Waiting:
    """A message that is due. `address`: none if it cannot be decrypted."""

    id: UUID
    channel: str
    category: str
    cause_type: str
    cause_id: UUID
    address: str | None


def stopped(session: Session, messages: Iterable[Waiting]) -> dict[UUID, Stopped]:
    """Which of the messages must not be sent now.

    Asked a moment before every attempt, for a message may wait for days: its recipient may have opted out, the address may have bounced,
    quiet hours may have begun, its campaign may have been stopped, the meeting it invites to may have begun.
    """
    asked = [one for one in messages if one.category != "legal" and one.channel != "webhook"]
    if not asked:
        return {}
    addressed = {one.id: contacts.marks(one.channel, one.address) for one in asked if one.address is not None}
    known = dict(zip(addressed, contacts.known_of(session, list(addressed.values())), strict=True))
    campaigns = queries.states(session, {one.cause_id for one in asked if one.cause_type == CAUSE})
    instant = now()
    found = {}
    for one in asked:
        why = _stopped(one, known.get(one.id), campaigns, instant)
        if why is not None:
            found[one.id] = why
    return found


def _stopped(
    message: Waiting, known: contacts.Known | None, campaigns: Mapping[UUID, Any], instant: datetime
) -> Stopped | None:
    starts = instant
    if known is not None:
        if known.unwanted(message.category):
            return Stopped("unwanted")
        starts = known.after_quiet_hours(instant)
    if message.cause_type == CAUSE:
        campaign = campaigns.get(message.cause_id)
        if campaign is None or campaign.status == "cancelled":
            return Stopped("campaign_cancelled")
        if campaign.status == "paused":
            return Stopped()
        if campaign.office_hours:
            starts = max(starts, in_office_hours(instant))
        begins = begins_at(campaign.date)
        if begins is not None and begins <= starts:
            return Stopped("meeting_past")
    return Stopped(until=starts) if starts > instant else None
