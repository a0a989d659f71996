"""Every table this service owns, besides those of the seam."""

from datetime import datetime, time
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, LargeBinary, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tejido_shared import db
from tejido_shared.clock import now
from tejido_shared.ids import new_id
from tejido_shared.personal import Personal


class Base(DeclarativeBase):
    metadata = db.new_metadata()
    type_annotation_map = db.TYPES


class Delivery(Base):
    """One message of one cause to one recipient by one channel: the unique constraint is what makes it be sent once.

    Personal columns are read only when the message is made, so that one that cannot be decrypted harms no other.
    """

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("cause_id", "audience", "recipient_key", "channel"),
        Index("ix_delivery_due", "channel", "category", "next_attempt_at", postgresql_where=text("status = 'pending'")),
        Index("ix_delivery_sending", "next_attempt_at", postgresql_where=text("status = 'sending'")),
        Index("ix_delivery_held", "next_attempt_at", postgresql_where=text("status = 'held'")),
        Index(
            "ix_delivery_waiting_for",
            "recipient_key",
            "next_attempt_at",
            postgresql_where=text("channel = 'webhook'"),
        ),
        Index("ix_delivery_created_at", "created_at", "id"),
        Index("ix_delivery_status_created_at", "status", "created_at", "id"),
        Index("ix_delivery_about", "about", "created_at", "id"),
        Index("ix_delivery_fingerprint", "fingerprint", postgresql_where=text("fingerprint is not null")),
        Index(
            "ix_delivery_delivered_at",
            "delivered_at",
            postgresql_include=["channel", "category", "occurred_at", "send_from"],
            postgresql_where=text("delivered_at is not null"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    version: Mapped[int] = mapped_column(default=1)
    cause_id: Mapped[UUID] = mapped_column(comment="Id of the event, or of the campaign, it tells of")
    cause_type: Mapped[str]
    about: Mapped[UUID] = mapped_column(comment="The entity that event was about")
    audience: Mapped[str] = mapped_column(
        comment="Whom it is for: citizen, assignee, office, office_head, authority, organization, subscriber"
    )
    recipient_key: Mapped[str] = mapped_column(
        default="", comment="Which of several of one audience: a contact, a subscription; empty for the only one"
    )
    contact_id: Mapped[UUID | None] = mapped_column(comment="The contact the address belongs to, if one is known")
    channel: Mapped[str] = mapped_column(default="email")
    category: Mapped[str] = mapped_column(default="service", comment="legal, service, campaign; sent in this order")
    fallback_of: Mapped[UUID | None] = mapped_column(
        comment="The message that could not be delivered by another channel"
    )
    digest_id: Mapped[UUID | None] = mapped_column(comment="The digest that took it in")
    template: Mapped[str]
    template_version: Mapped[str | None] = mapped_column(comment="Which text was sent last: see letters.writing")
    language: Mapped[str]
    fingerprint: Mapped[bytes | None] = mapped_column(LargeBinary, comment="Keyed hash of channel and address")
    recipient: Mapped[str] = mapped_column(Personal, deferred=True)
    context: Mapped[str] = mapped_column(Personal, deferred=True, comment="JSON of the event, unsealed")
    correlation_id: Mapped[str]
    traceparent: Mapped[str | None]
    status: Mapped[str] = mapped_column(
        default="pending",
        comment="pending, sending, delivered, failed, bounced; held and merged, of a digest; cancelled, of a campaign",
    )
    occurred_at: Mapped[datetime] = mapped_column(default=now, comment="When what it tells of happened")
    send_from: Mapped[datetime | None] = mapped_column(
        comment="When it was to be sent, if not at once: office hours, quiet hours, a digest"
    )
    created_at: Mapped[datetime] = mapped_column(default=now)
    attempts: Mapped[int] = mapped_column(
        default=0, comment="Since it was made, or since it was last told to try again"
    )
    next_attempt_at: Mapped[datetime | None] = mapped_column(
        default=now, comment="When to try; while sending, when its lease ends; null when nothing is left to do"
    )
    sender: Mapped[int | None] = mapped_column(comment="Number of the sender that holds it while sending")
    sending_since: Mapped[datetime | None]
    last_error: Mapped[str | None]
    evidence: Mapped[str | None] = mapped_column(comment="The accepting server's words, without addresses")
    delivered_at: Mapped[datetime | None]
    bounced_at: Mapped[datetime | None] = mapped_column(comment="When it came back after it had been accepted")
    erased_at: Mapped[datetime | None] = mapped_column(
        comment="When recipient, content and the server's words were erased with the data of what it is about"
    )

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


class Attempt(Base):
    """One try at a delivery; rows are only ever added and completed. Holds no personal data."""

    __tablename__ = "attempt"
    __table_args__ = (Index("ix_attempt_delivery_id", "delivery_id", "at"), Index("ix_attempt_at", "at"))

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    delivery_id: Mapped[UUID] = mapped_column(ForeignKey("delivery.id"))
    at: Mapped[datetime]
    outcome: Mapped[str] = mapped_column(
        default="unknown",
        comment="accepted, deferred, refused, unsendable; unknown while it lasts, and when the sender or the line broke",
    )
    code: Mapped[str | None] = mapped_column(comment="Kind of failure: unreachable, greylisted, 5.1.1 …")
    reply: Mapped[str | None] = mapped_column(comment="The server's words, or what went wrong, without addresses")


class Pace(Base):
    """When a channel whose rate is limited may send next."""

    __tablename__ = "pace"

    channel: Mapped[str] = mapped_column(primary_key=True)
    next_at: Mapped[datetime]


class Contact(Base):
    """A person or organization whose addresses are known, and how they want to be told."""

    __tablename__ = "contact"
    __table_args__ = (UniqueConstraint("kind", "ref"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    version: Mapped[int] = mapped_column(default=1)
    kind: Mapped[str] = mapped_column(comment="person, organization")
    ref: Mapped[str] = mapped_column(
        comment="Subject of the person's account, or id of the organization; a random one for a person without account"
    )
    name: Mapped[str | None] = mapped_column(Personal)
    language: Mapped[str] = mapped_column(default="es")
    quiet_from: Mapped[time | None] = mapped_column(comment="Local; what is no legal notice waits until quiet_until")
    quiet_until: Mapped[time | None]
    digest: Mapped[bool] = mapped_column(default=False, comment="Reminders come once a day, together")
    created_at: Mapped[datetime] = mapped_column(default=now)

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


class Address(Base):
    """Where somebody is reached by one channel. Several contacts may have one address. One row may be nobody's: it holds what is known of
    the address itself, that it bounced or opted out."""

    __tablename__ = "address"
    __table_args__ = (
        UniqueConstraint("fingerprint", "contact_id", postgresql_nulls_not_distinct=True),
        Index("ix_address_contact_id", "contact_id", "rank"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    version: Mapped[int] = mapped_column(default=1)
    contact_id: Mapped[UUID | None] = mapped_column(ForeignKey("contact.id"))
    channel: Mapped[str]
    value: Mapped[str] = mapped_column(Personal)
    fingerprint: Mapped[bytes] = mapped_column(
        LargeBinary, comment="Keyed hash of channel and value: personal.fingerprint"
    )
    rank: Mapped[int] = mapped_column(default=0, comment="Lower is tried first")
    verified_at: Mapped[datetime | None]
    verified_by: Mapped[str | None] = mapped_column(comment="The official who vouched for it; none if a code proved it")
    evidence: Mapped[str | None] = mapped_column(Personal, comment="What that official saw")
    code: Mapped[str | None] = mapped_column(Personal, comment="What was sent to verify it")
    code_sent_at: Mapped[datetime | None]
    code_tries: Mapped[int] = mapped_column(default=0)
    bounced_at: Mapped[datetime | None] = mapped_column(
        comment="Nothing but legal notices is sent until it is verified anew"
    )
    bounce_reason: Mapped[str | None]
    unsubscribe_token: Mapped[str] = mapped_column(unique=True, comment="Opaque; stands in links and headers")
    created_at: Mapped[datetime] = mapped_column(default=now)

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


class OptOut(Base):
    """An address does not want messages of a category. Legal notices cannot be opted out of."""

    __tablename__ = "opt_out"

    address_id: Mapped[UUID] = mapped_column(ForeignKey("address.id"), primary_key=True)
    category: Mapped[str] = mapped_column(primary_key=True, comment="service, campaign")
    at: Mapped[datetime]
    how: Mapped[str] = mapped_column(comment="one_click, account, officer, complaint")


class TemplateVersion(Base):
    """A text that an administrator wrote; rows are only ever added. The newest of a name, channel and language counts."""

    __tablename__ = "template_version"
    __table_args__ = (UniqueConstraint("name", "form", "language", "number"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(comment="requests_submitted …")
    form: Mapped[str] = mapped_column(comment="mail: whole letters; short: SMS and the like")
    language: Mapped[str]
    number: Mapped[int]
    source: Mapped[str | None] = mapped_column(comment="None: from here on the pack's text or ours counts again")
    remark: Mapped[str] = mapped_column(default="")
    at: Mapped[datetime] = mapped_column(default=now)
    author: Mapped[str]


class InAppMessage(Base):
    """A message in the application itself, for an account or for all of an office."""

    __tablename__ = "in_app_message"
    __table_args__ = (Index("ix_in_app_message_box", "box", "sequence"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id, comment="The delivery's")
    sequence: Mapped[int] = mapped_column(BigInteger, Identity(), comment="Order in which they came")
    box: Mapped[str] = mapped_column(comment="account:<subject>, office:<code>, head:<code>")
    about: Mapped[UUID]
    title: Mapped[str] = mapped_column(Personal)
    body: Mapped[str] = mapped_column(Personal)
    at: Mapped[datetime]
    read_at: Mapped[datetime | None]


class Subscription(Base):
    """Another system that is told of events by signed HTTP calls (Standard Webhooks)."""

    __tablename__ = "subscription"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    version: Mapped[int] = mapped_column(default=1)
    name: Mapped[str]
    url: Mapped[str] = mapped_column(Personal, comment="Addresses of others may hold secrets")
    events: Mapped[list[str]] = mapped_column(ARRAY(Text), comment="Types, or beginnings that end in *")
    filters: Mapped[dict[str, Any]] = mapped_column(default=dict, comment="Field of the event to the values wanted")
    secret: Mapped[str] = mapped_column(Personal)
    old_secret: Mapped[str | None] = mapped_column(Personal, comment="Signs too until old_secret_until")
    old_secret_until: Mapped[datetime | None]
    active: Mapped[bool] = mapped_column(default=True)
    created_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
    rests_until: Mapped[datetime | None] = mapped_column(comment="While it fails, nothing is tried before")
    failing_since: Mapped[datetime | None]

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


class KnownEvent(Base):
    """What was heard, without what is sealed, so that it can be told again to a system that missed it."""

    __tablename__ = "known_event"
    __table_args__ = (Index("ix_known_event_occurred_at", "occurred_at", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    type: Mapped[str]
    occurred_at: Mapped[datetime]
    body: Mapped[dict[str, Any]]


class KnownOrganization(Base):
    """What this service knows of an organization, from events of the registry."""

    __tablename__ = "known_organization"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    number: Mapped[str]
    name: Mapped[str]
    organization_type: Mapped[str]
    status: Mapped[str]
    merged_into: Mapped[UUID | None] = mapped_column(comment="The organization it was found to be")
    territory: Mapped[str | None]
    themes: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)
    allowed: Mapped[list[str]] = mapped_column(
        ARRAY(Text), default=list, server_default="{}", comment="Codes of the purposes its standing is good for"
    )


class KnownRequest(Base):
    """Who may see what was written to the petitioner of a request, from events of requests."""

    __tablename__ = "known_request"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    office: Mapped[str] = mapped_column(comment="Whose it is now")
    confidential: Mapped[bool] = mapped_column(comment="Who asks is shown for a reason only")


class Campaign(Base):
    """A call to many organizations: drafted, tried dry, sent in batches that a kill does not double."""

    __tablename__ = "campaign"
    __table_args__ = (Index("ix_campaign_running", "status", postgresql_where=text("status = 'running'")),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    version: Mapped[int] = mapped_column(default=1)
    name: Mapped[str]
    subject: Mapped[str]
    text: Mapped[str]
    segment: Mapped[dict[str, Any]]
    date: Mapped[dict[str, Any] | None] = mapped_column(comment="Of a meeting: starts_at, ends_at, place, summary")
    office_hours: Mapped[bool] = mapped_column(
        default=True, comment="Whether it is only sent while the offices are open"
    )
    status: Mapped[str] = mapped_column(default="draft", comment="draft, running, paused, cancelled, done")
    created_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
    started_at: Mapped[datetime | None]
    queued_at: Mapped[datetime | None] = mapped_column(comment="When the last message was queued")
    ended_at: Mapped[datetime | None]
    total: Mapped[int] = mapped_column(default=0, comment="Organizations of the segment when it began")
    cursor: Mapped[UUID | None] = mapped_column(comment="The last organization whose message was queued")
    queued: Mapped[int] = mapped_column(default=0)
    left_out: Mapped[dict[str, Any]] = mapped_column(
        default=dict, comment="Why to how many: no_address, opted_out, bounced"
    )

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


class Proof(Base):
    """What can be shown of a legal notice: sealed when it was delivered or failed. Rows are only ever added."""

    __tablename__ = "proof"
    __table_args__ = (Index("ix_proof_delivery_id", "delivery_id", "at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    delivery_id: Mapped[UUID] = mapped_column(ForeignKey("delivery.id"))
    result: Mapped[str] = mapped_column(comment="delivered, failed, bounced")
    at: Mapped[datetime]
    record: Mapped[str | None] = mapped_column(
        Personal, comment="JSON as it was signed: to whom, what, when, the answers; none once retention erased it"
    )
    sha256: Mapped[str] = mapped_column(comment="Of the record as signed")
    signature: Mapped[str] = mapped_column(comment="Ed25519, base64")
    key_id: Mapped[str]
