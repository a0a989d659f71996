"""Contacts and addresses as they are stored. An address is found by its marks: one for every data key, so that a rotation loses none."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from tejido_notifications.models import Address, Contact, Delivery, KnownOrganization, OptOut

VERIFICATION = "notifications.verification"


def marked(marks: Collection[bytes]) -> sa.ColumnElement[bool]:
    """Every row of one address, whichever data key it was marked with: the only way to look for one."""
    return Address.fingerprint.in_(marks)


def contact(session: Session, kind: str, ref: str, *, lock: bool = False) -> Contact | None:
    query = sa.select(Contact).where(Contact.kind == kind, Contact.ref == ref)
    return session.scalar(query.with_for_update() if lock else query)


def addresses(session: Session, contact_id: UUID) -> list[Address]:
    query = sa.select(Address).where(Address.contact_id == contact_id)
    return list(session.scalars(query.order_by(Address.rank, Address.created_at, Address.id)))


def known(session: Session, marks: Collection[bytes]) -> Sequence[Any]:
    """What is known of addresses: their rows, each with its contact's wishes, once for each category that is not wanted.

    Nothing encrypted is read, so that one value that cannot be decrypted harms no message.
    """
    return session.execute(_KNOWN, {"marks": list(marks)}).all()


# Asked for every message: of tables and made once, which is five times as quick as of mapped classes.
_address: Any = sa.inspect(Address).local_table
_contact: Any = sa.inspect(Contact).local_table
_opt_out: Any = sa.inspect(OptOut).local_table
_is_marked = _address.c.fingerprint == sa.any_(sa.bindparam("marks", type_=ARRAY(sa.LargeBinary)))
_KNOWN = (
    sa.select(
        _address.c.fingerprint,
        _address.c.contact_id,
        _address.c.verified_at,
        _address.c.bounced_at,
        _contact.c.digest,
        _contact.c.quiet_from,
        _contact.c.quiet_until,
        _opt_out.c.category,
    )
    .select_from(_address)
    .outerjoin(_contact, _contact.c.id == _address.c.contact_id)
    .outerjoin(_opt_out, _opt_out.c.address_id == _address.c.id)
    .where(_is_marked)
    .order_by((_contact.c.kind == "person").desc().nulls_last(), _address.c.verified_at, _address.c.id)
)

_TOKEN = sa.select(_address.c.unsubscribe_token).where(_is_marked, _address.c.contact_id.is_(None)).limit(1)


def opted_out(session: Session, marks: Collection[bytes]) -> list[str]:
    query = sa.select(OptOut.category).join(Address, Address.id == OptOut.address_id)
    return sorted(set(session.scalars(query.where(marked(marks), trusted()))))


def trusted() -> sa.ColumnElement[bool]:
    """Leaves out rows of who only says that the address is theirs."""
    return Address.contact_id.is_(None) | Address.verified_at.is_not(None)


def nobodys(session: Session, marks: Collection[bytes]) -> Address | None:
    """The row that holds what is known of the address itself, whosesoever it is."""
    return session.scalar(sa.select(Address).where(marked(marks), Address.contact_id.is_(None)).limit(1))


def unsubscribe_token(session: Session, marks: Collection[bytes]) -> str | None:
    """That of the address itself; none if nothing is known of it yet."""
    return session.scalar(_TOKEN, {"marks": list(marks)})


def mark_in_use(session: Session, marks: Sequence[bytes]) -> bytes:
    """What a new row of the address is marked with: as the rows before it, so that one is found from the other; else anew."""
    present = sa.select(Address.fingerprint).where(marked(marks)).order_by(Address.created_at, Address.id).limit(1)
    return session.scalar(present) or marks[0]


def by_token(session: Session, token: str) -> Address | None:
    return session.scalar(sa.select(Address).where(Address.unsubscribe_token == token))


def reachable(session: Session, contact_id: UUID, channels: Collection[str]) -> Sequence[UUID]:
    """Ids of the contact's addresses that may be used, best first."""
    query = sa.select(Address.id).where(
        Address.contact_id == contact_id,
        Address.channel.in_(channels),
        Address.verified_at.is_not(None),
        Address.bounced_at.is_(None),
    )
    return session.scalars(query.order_by(Address.rank, Address.created_at, Address.id)).all()


def codes_sent(session: Session, of: sa.ColumnElement[bool], since: datetime) -> int:
    query = sa.select(sa.func.count()).select_from(Delivery)
    query = query.where(of, Delivery.cause_type == VERIFICATION, Delivery.created_at > since)
    return session.scalar(query) or 0


def organization_name(session: Session, organization_id: UUID) -> str | None:
    return session.scalar(sa.select(KnownOrganization.name).where(KnownOrganization.id == organization_id))
