"""Whom a call reaches, and how far it is."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session, aliased

from tejido_notifications.campaigns.schemas import CampaignQuery, Segment
from tejido_notifications.models import Address, Campaign, Contact, Delivery, KnownOrganization, OptOut

SORTABLE = {"created_at": Campaign.created_at}
LATE = timedelta(days=1)
"""How long after it was cancelled messages of a campaign may still turn up that were being sent then."""
DELIVERY: Any = sa.inspect(Delivery).local_table
_CAMPAIGN: Any = sa.inspect(Campaign).local_table
_STATES = sa.select(_CAMPAIGN.c.id, _CAMPAIGN.c.status, _CAMPAIGN.c.office_hours, _CAMPAIGN.c.date).where(
    _CAMPAIGN.c.id.in_(sa.bindparam("ids", expanding=True))
)


def matching(asked: CampaignQuery) -> sa.Select[Campaign]:
    query = sa.select(Campaign)
    return query.where(Campaign.status == asked.status) if asked.status is not None else query


def one(session: Session, campaign_id: UUID, *, lock: bool = False) -> Campaign | None:
    return session.get(Campaign, campaign_id, with_for_update=lock or None)


def states(session: Session, campaign_ids: Collection[UUID]) -> dict[UUID, sa.Row[Any]]:
    """Status of each, whether it keeps to office hours, and the meeting it invites to."""
    if not campaign_ids:
        return {}
    return {row.id: row for row in session.execute(_STATES, {"ids": list(campaign_ids)})}


def at_work(session: Session, instant: datetime) -> Sequence[Campaign]:
    """Campaigns whose messages may have to be touched, locked; without those another process has in hand."""
    cancelled = (Campaign.status == "cancelled") & (Campaign.ended_at > instant - LATE)
    query = sa.select(Campaign).where(Campaign.status.in_(["running", "paused"]) | cancelled)
    return session.scalars(query.order_by(Campaign.id).with_for_update(skip_locked=True)).all()


def in_segment(segment: Segment) -> sa.ColumnElement[bool]:
    """The organizations of a segment; one that was found to be another is reached as that one."""
    organization = KnownOrganization
    conditions: list[sa.ColumnElement[bool]] = [organization.merged_into.is_(None)]
    for wanted, column in (
        (segment.types, organization.organization_type),
        (segment.statuses, organization.status),
        (segment.territories, organization.territory),
    ):
        if wanted:
            conditions.append(column.in_(wanted))
    if segment.themes:
        conditions.append(organization.themes.overlap(segment.themes))
    if segment.standing:
        conditions.append(organization.allowed.overlap(segment.standing))
    if segment.ids:
        conditions.append(organization.id.in_(segment.ids))
    return sa.and_(*conditions)


def count(session: Session, segment: Segment) -> int:
    query = sa.select(sa.func.count()).select_from(KnownOrganization)
    return session.scalar(query.where(in_segment(segment))) or 0


def candidates(segment: Segment, channels: Collection[str]) -> sa.Select[Any]:
    """The organizations of a segment, each with the best address it can be called at, or `why` there is none.

    An address is used that is verified, and neither bounced nor does without calls; for which it is enough that one row of the same
    address says so, whosesoever it is. Nothing encrypted is read.
    """
    same = aliased(Address)
    bounced = sa.exists().where(same.fingerprint == Address.fingerprint, same.bounced_at.is_not(None))
    trusted = same.contact_id.is_(None) | same.verified_at.is_not(None)
    unwanted = sa.select(sa.literal(1)).select_from(same).join(OptOut, OptOut.address_id == same.id)
    unwanted = unwanted.where(same.fingerprint == Address.fingerprint, trusted, OptOut.category == "campaign")
    opted_out = unwanted.correlate(Address).exists()
    flaw = sa.case((bounced, 2), (opted_out, 1), else_=0).label("flaw")
    best = (
        sa.select(Address.id, Address.channel, flaw)
        .where(
            Address.contact_id == Contact.id, Address.verified_at.is_not(None), Address.channel.in_(sorted(channels))
        )
        .order_by(flaw, Address.rank, Address.created_at, Address.id)
        .limit(1)
        .lateral("best")
    )
    why = sa.case((best.c.id.is_(None), "no_address"), (best.c.flaw == 1, "opted_out"), (best.c.flaw == 2, "bounced"))
    its = (Contact.kind == "organization") & (Contact.ref == sa.cast(KnownOrganization.id, sa.Text))
    query = sa.select(
        KnownOrganization.id,
        KnownOrganization.number,
        KnownOrganization.name,
        Contact.language,
        Contact.quiet_from,
        Contact.quiet_until,
        best.c.id.label("address_id"),
        best.c.channel,
        why.label("why"),
    )
    query = query.select_from(KnownOrganization).outerjoin(Contact, its).outerjoin(best, sa.true())
    return query.where(in_segment(segment))


def reach(session: Session, segment: Segment, channels: Collection[str]) -> dict[str | None, int]:
    """How many organizations of a segment are called (None), and how many are not, by why."""
    found = candidates(segment, channels).subquery()
    query = sa.select(found.c.why, sa.func.count().label("organizations")).group_by(found.c.why)
    return {row.why: row.organizations for row in session.execute(query)}


def became(session: Session, campaign_id: UUID) -> dict[str, int]:
    """To how many organizations the last message has which status."""
    last = sa.select(Delivery.recipient_key, Delivery.status).where(Delivery.cause_id == campaign_id)
    last = last.ext(distinct_on(Delivery.recipient_key)).order_by(Delivery.recipient_key, Delivery.created_at.desc())
    found = last.subquery()
    query = sa.select(found.c.status, sa.func.count().label("organizations")).group_by(found.c.status)
    return {row.status: row.organizations for row in session.execute(query)}


def is_waiting(session: Session, campaign_id: UUID) -> bool:
    mine = sa.exists().where(Delivery.cause_id == campaign_id, Delivery.status.in_(["pending", "sending"]))
    return bool(session.scalar(sa.select(mine)))


def change_waiting(
    session: Session, campaign_id: UUID, which: sa.ColumnElement[bool], limit: int, **values: Any
) -> int:
    """Changes some of the campaign's messages that nobody is sending. Returns how many."""
    some = sa.select(Delivery.id).where(Delivery.cause_id == campaign_id, Delivery.status == "pending", which)
    chosen = some.limit(limit).with_for_update(skip_locked=True)
    change = sa.update(DELIVERY).where(DELIVERY.c.id.in_(chosen)).values(version=DELIVERY.c.version + 1, **values)
    changed: Any = session.execute(change)
    return int(changed.rowcount)
