"""Calls: drafted, tried dry, sent in batches that a kill neither loses nor doubles. Each takes a session, none commits.

A batch and the cursor over the organizations are one transaction. What was queued and waits for a sender is held by a pause, released
by `resume` and cancelled in batches too; `gate` is the net for what is claimed meanwhile.
"""

from collections import Counter
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from tejido_notifications.campaigns import queries
from tejido_notifications.campaigns.invitations import CAUSE
from tejido_notifications.campaigns.schemas import CampaignIn, begins_at, segment_of
from tejido_notifications.contacts.service import Known
from tejido_notifications.delivery.service import text
from tejido_notifications.hours import in_office_hours
from tejido_notifications.letters.kinds import Call
from tejido_notifications.models import Address, Campaign, Delivery
from tejido_notifications.settings import jurisdiction, settings
from tejido_shared.clock import now
from tejido_shared.ids import new_id
from tejido_shared.logs import correlation_id
from tejido_shared.personal import seal
from tejido_shared.refusals import Refused

TEMPLATE = "notifications_call"
AUDIENCE = "organization"
BATCH = 500
"""Organizations a transaction queues messages for."""
MANY = 5000
"""Messages a transaction holds, releases or cancels."""
Act = Literal["start", "pause", "resume", "cancel"]
_STEPS: dict[Act, tuple[tuple[str, ...], str]] = {
    "start": (("draft",), "running"),
    "pause": (("running",), "paused"),
    "resume": (("paused",), "running"),
    "cancel": (("draft", "running", "paused"), "cancelled"),
}
"""From which states each act leads to which."""


def draft(session: Session, body: CampaignIn, author: str) -> Campaign:
    campaign = Campaign(id=new_id(), created_by=author, **_content(body))
    session.add(campaign)
    session.flush()
    return campaign


def change(session: Session, campaign: Campaign, body: CampaignIn) -> None:
    """Raises `Refused` once it has begun."""
    _expect(campaign, "draft")
    for name, value in _content(body).items():
        setattr(campaign, name, value)
    session.flush()


def act(session: Session, campaign: Campaign, what: Act) -> None:
    """One step of a campaign's life; its messages follow in batches: `step`. Raises `Refused` where there is no such step."""
    before, after = _STEPS[what]
    _expect(campaign, *before)
    instant = now()
    if after == "running":
        expect_in_time(campaign)
    if what == "start":
        campaign.started_at = instant
        campaign.total = queries.count(session, segment_of(campaign.segment))
    campaign.status = after
    campaign.ended_at = instant if after == "cancelled" else None
    session.flush()


def expect_in_time(campaign: Campaign) -> None:
    """Raises `Refused` if the meeting it invites to begins before anything may go out."""
    begins = begins_at(campaign.date)
    if begins is not None and begins <= _goes(campaign, now()):
        raise Refused("meeting_past")


def step(session: Session) -> bool:
    """One batch of work on one campaign. Returns whether there was any."""
    return any(_step(session, campaign) for campaign in queries.at_work(session, now()))


def call(campaign: Campaign, row: sa.Row[Any]) -> Call:
    """What an organization, a row of `queries.candidates`, is told."""
    names = {"organization_name": row.name, "organization_number": row.number}
    return Call.model_validate(
        {
            "campaign_id": campaign.id,
            "subject": campaign.subject.format_map(names),
            "text": campaign.text.format_map(names),
            "meeting": campaign.date,
            **names,
        }
    )


def language_of(row: sa.Row[Any]) -> str:
    return row.language or jurisdiction().locale.partition("-")[0]


def _content(body: CampaignIn) -> dict[str, Any]:
    return {
        "name": body.name,
        "subject": body.subject,
        "text": body.text,
        "segment": body.segment.model_dump(mode="json"),
        "date": body.meeting.model_dump(mode="json") if body.meeting is not None else None,
        "office_hours": body.office_hours,
    }


def _expect(campaign: Campaign, *statuses: str) -> None:
    if campaign.status not in statuses:
        raise Refused(f"campaign_{campaign.status}")


def _goes(campaign: Campaign, instant: datetime) -> datetime:
    """When its messages may go out, from the instant on."""
    return in_office_hours(instant) if campaign.office_hours else instant


def _step(session: Session, campaign: Campaign) -> bool:
    if campaign.status == "paused":
        held = Delivery.next_attempt_at.is_not(None)
        return queries.change_waiting(session, campaign.id, held, MANY, next_attempt_at=None) > 0
    if campaign.status == "cancelled":
        gone = {"status": "cancelled", "next_attempt_at": None}
        return queries.change_waiting(session, campaign.id, sa.true(), MANY, **gone) > 0
    if campaign.queued_at is None:
        _queue_some(session, campaign)
        return True
    instant = now()
    goes = _goes(campaign, instant)
    begins = begins_at(campaign.date)
    if begins is not None:
        # `gate` would not look at what waits for the offices before they open.
        earliest = sa.func.greatest(goes, Delivery.send_from, Delivery.next_attempt_at)
        late = {"status": "cancelled", "next_attempt_at": None, "last_error": text("meeting_past")}
        if queries.change_waiting(session, campaign.id, earliest >= begins, MANY, **late):
            return True
    # What was held goes again; what is due after the offices closed waits for them.
    stays: sa.ColumnElement[bool] = Delivery.next_attempt_at.is_(None)
    if goes > instant:
        stays |= Delivery.next_attempt_at <= instant
    again = sa.func.greatest(goes, queries.DELIVERY.c.send_from)
    if queries.change_waiting(session, campaign.id, stays, MANY, next_attempt_at=again):
        session.info["queued"] = True
        return True
    if not queries.is_waiting(session, campaign.id):
        campaign.status, campaign.ended_at = "done", instant
        session.flush()
        return True
    return False


def _queue_some(session: Session, campaign: Campaign) -> None:
    """Makes the messages for the next organizations, and moves the cursor behind them."""
    query = queries.candidates(segment_of(campaign.segment), settings().channels)
    organization = query.selected_columns.id
    if campaign.cursor is not None:
        query = query.where(organization > campaign.cursor)
    rows = session.execute(query.order_by(organization).limit(BATCH)).all()
    called = [row for row in rows if row.why is None]
    if called:
        campaign.queued += _insert(session, campaign, called)
    left_out = Counter(campaign.left_out)
    left_out.update(row.why for row in rows if row.why is not None)
    campaign.left_out = dict(left_out)
    if rows:
        campaign.cursor = rows[-1].id
    if len(rows) < BATCH:
        campaign.queued_at = now()
    session.flush()


def _insert(session: Session, campaign: Campaign, rows: list[sa.Row[Any]]) -> int:
    """One statement for all. Addresses are copied as they lie, encrypted; only what each is told is encrypted anew."""
    instant = now()
    begins = _goes(campaign, instant)
    starts = [max(begins, _wishes(row).after_quiet_hours(begins)) for row in rows]
    uuids = sa.ARRAY(sa.Uuid())
    told = [seal(call(campaign, row).model_dump_json()).encode() for row in rows]
    listed = (
        sa.func.unnest(
            sa.cast([new_id() for _ in rows], uuids),
            sa.cast([row.id for row in rows], uuids),
            sa.cast([row.address_id for row in rows], uuids),
            sa.cast(told, sa.ARRAY(sa.LargeBinary())),
            sa.cast([language_of(row) for row in rows], sa.ARRAY(sa.Text())),
            sa.cast(starts, sa.ARRAY(sa.DateTime(timezone=True))),
        )
        .table_valued("id", "organization", "address", "context", "language", "starts")
        .render_derived()
    )
    values: dict[str, Any] = {
        "id": listed.c.id,
        "version": sa.literal(1),
        "cause_id": sa.literal(campaign.id),
        "cause_type": sa.literal(CAUSE),
        "about": sa.literal(campaign.id),
        "audience": sa.literal(AUDIENCE),
        "recipient_key": sa.cast(listed.c.organization, sa.Text),
        "contact_id": Address.contact_id,
        "channel": Address.channel,
        "category": sa.literal("campaign"),
        "template": sa.literal(TEMPLATE),
        "language": listed.c.language,
        "fingerprint": Address.fingerprint,
        "recipient": Address.value,
        "context": listed.c.context,
        "correlation_id": sa.literal(correlation_id.get()),
        "status": sa.literal("pending"),
        "occurred_at": sa.literal(campaign.started_at or instant),
        "created_at": sa.literal(instant),
        "attempts": sa.literal(0),
        "next_attempt_at": listed.c.starts,
        "send_from": listed.c.starts,
    }
    chosen = sa.select(*values.values()).select_from(listed).join(Address, Address.id == listed.c.address)
    row = insert(queries.DELIVERY).from_select(list(values), chosen, include_defaults=False)
    key = ["cause_id", "audience", "recipient_key", "channel"]
    once = row.on_conflict_do_nothing(index_elements=key).returning(queries.DELIVERY.c.id)
    session.info["queued"] = True
    return len(session.scalars(once).all())


def _wishes(row: sa.Row[Any]) -> Known:
    quiet = (row.quiet_from, row.quiet_until)
    return Known(None, False, quiet if None not in quiet else None, False, frozenset())
