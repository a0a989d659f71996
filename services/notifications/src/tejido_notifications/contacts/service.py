"""Whom messages go to and what they want. Each takes a session, none commits.

Several contacts may have one address, as a person and the organization they represent do. What somebody only says is theirs counts
for nothing before it is verified. What is known of the address itself, that it bounced or does not want something, holds for all.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from tejido_notifications.contacts import addresses as spelling
from tejido_notifications.contacts import queries
from tejido_notifications.hours import next_opening
from tejido_notifications.models import Address, Contact, OptOut
from tejido_notifications.settings import jurisdiction, settings
from tejido_shared.clock import now
from tejido_shared.ids import new_id
from tejido_shared.personal import fingerprints
from tejido_shared.refusals import NotForThem, Refused

_RANKS = {"email": 0, "web_push": 50, "in_app": 100}
"""What is tried first when nobody says."""
_OTHER_RANK = 10


@dataclass(frozen=True)
class Known:
    """What is known of an address and, if it is verified, of whose it is."""

    contact_id: UUID | None
    digest: bool
    quiet: tuple[time, time] | None
    bounced: bool
    opted_out: frozenset[str]

    def unwanted(self, category: str) -> bool:
        """Whether nothing of the category is to be sent there. Legal notices always are."""
        return category != "legal" and (self.bounced or category in self.opted_out)

    def after_quiet_hours(self, instant: datetime) -> datetime:
        """The instant itself, or the end of the quiet hours it falls in. They are local, and may run over midnight."""
        if self.quiet is None:
            return instant
        begin, end = self.quiet
        local = instant.astimezone(jurisdiction().zone)
        clock, day = local.time(), local.date()
        if begin < end:
            quiet = begin <= clock < end
        else:
            quiet = clock >= begin or clock < end
            day += timedelta(days=clock >= begin)
        return max(instant, _at(day, end)) if quiet else instant

    def next_digest(self, instant: datetime) -> datetime:
        """When the offices next open, or after the quiet hours that last longer."""
        return self.after_quiet_hours(next_opening(instant))


def _at(day: date, clock: time) -> datetime:
    return datetime.combine(day, clock, jurisdiction().zone).astimezone(UTC)


def marks(channel: str, address: str) -> list[bytes]:
    """What an address is known by, however it is spelt: the first to store, all to look for. Takes anything."""
    return fingerprints(f"{channel}:{spelling.same(channel, address)}")


def known(session: Session, marks: list[bytes]) -> Known | None:
    """What is known of the address with these marks; none if nothing is."""
    return known_of(session, [marks])[0]


def known_of(session: Session, addresses: Sequence[list[bytes]]) -> list[Known | None]:
    """What is known of each of these addresses, with one statement."""
    rows = queries.known(session, [mark for marks in addresses for mark in marks])
    return [_known([row for row in rows if row.fingerprint in marks]) for marks in addresses]


def _known(rows: Sequence[Any]) -> Known | None:
    if not rows:
        return None
    trusted = [row for row in rows if row.contact_id is None or row.verified_at is not None]
    owner = next((row for row in trusted if row.contact_id is not None), None)
    quiet = None
    if owner is not None and owner.quiet_from is not None and owner.quiet_until is not None:
        quiet = owner.quiet_from, owner.quiet_until
    return Known(
        contact_id=owner.contact_id if owner is not None else None,
        digest=owner is not None and owner.digest,
        quiet=quiet,
        bounced=any(row.bounced_at is not None for row in rows),
        opted_out=frozenset(row.category for row in trusted if row.category is not None),
    )


def next_address(session: Session, contact_id: UUID, tried: set[str], available: set[str]) -> Address | None:
    """The best of the contact's addresses by a channel that was not tried: verified, not bounced, and to be read."""
    for address_id in queries.reachable(session, contact_id, available - tried):
        try:
            return session.get_one(Address, address_id)
        except ValueError:  # not with the keys we have
            continue
    return None


def bounced(session: Session, fingerprint: bytes, reason: str, channel: str = "", address: str | None = None) -> None:
    """Nobody is reached at this address. `reason` holds no addresses. Without the address itself only one that is known is marked."""
    found = [fingerprint]
    if address is not None:
        found += marks(channel, address)
        _nobodys(session, channel, address)
    update = sa.update(Address).where(queries.marked(found), Address.bounced_at.is_(None))
    session.execute(update.values(bounced_at=now(), bounce_reason=reason, version=Address.version + 1))


# One click


def unsubscribe_url(session: Session, channel: str, address: str) -> str:
    """Where whoever reads a message at this address says that they want no more calls. The same whenever it is asked for."""
    token = queries.unsubscribe_token(session, marks(channel, address))
    token = token or _nobodys(session, channel, address).unsubscribe_token
    return f"{settings().common.public_url.rstrip('/')}/notifications/v1/unsubscribe/{token}"


def unsubscribe_headers(url: str) -> dict[str, str]:
    """Of a mail, for the reader's mail program (RFC 2369 and RFC 8058). A DKIM signature has to cover both."""
    return {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


def unsubscribe(session: Session, token: str) -> Address | None:
    """No more calls to the address the token was made for; none if there is no such token. The same the second time."""
    address = queries.by_token(session, token)
    if address is not None:
        _refuse_category(session, address, "campaign", "one_click")
    return address


# A contact's own


def ensure(session: Session, kind: str, ref: str, name: str) -> Contact:
    """The contact, locked; made if there is none. A person with an account is always reached in the application."""
    row = insert(Contact).values(id=new_id(), version=1, kind=kind, ref=ref, name=name or None, digest=False)
    row = row.values(language=jurisdiction().locale.partition("-")[0], created_at=now())
    made = session.scalar(row.on_conflict_do_nothing(index_elements=["kind", "ref"]).returning(Contact.id))
    contact = queries.contact(session, kind, ref, lock=True)
    if contact is None:
        raise LookupError("a contact is gone that was there a moment ago")
    if made is not None and kind == "person":
        box = _add(session, contact.id, "in_app", f"account:{ref}", _RANKS["in_app"])
        if box is not None:
            box.verified_at = now()
            session.flush()
    return contact


def prefer(
    session: Session,
    contact: Contact,
    *,
    language: str,
    quiet_from: time | None,
    quiet_until: time | None,
    digest: bool,
) -> None:
    """How the contact wants to be told. Raises `Refused` for quiet hours without beginning, end or length."""
    if (quiet_from is None) != (quiet_until is None):
        raise Refused("quiet_together", "quiet_until" if quiet_until is None else "quiet_from")
    if quiet_from is not None and quiet_from == quiet_until:
        raise Refused("quiet_empty", "quiet_until")
    contact.language, contact.digest = language, digest
    contact.quiet_from, contact.quiet_until = quiet_from, quiet_until
    session.flush()


def set_address(session: Session, contact: Contact, channel: str, value: str, rank: int | None, *, owner: bool) -> None:
    """Where the contact is to be reached by this channel. What was verified before stays in use until the new one is.

    `owner`: whether the contact itself says so; a browser that gives its own address for web push has proved it by that.
    """
    _check_channel(channel)
    value = spelling.checked(channel, value)
    rank = rank if rank is not None else _RANKS.get(channel, _OTHER_RANK)
    wanted = marks(channel, value)
    present = of_channel(session, contact, channel)
    for address in present:
        if address.fingerprint in wanted:
            address.value, address.rank = value, rank
        elif address.verified_at is None:
            session.delete(address)
    session.flush()
    if not any(address.fingerprint in wanted for address in present):
        added = _add(session, contact.id, channel, value, rank)
        if added is not None and owner and channel == "web_push":
            accept(session, contact, added)


def remove_address(session: Session, contact: Contact, channel: str) -> None:
    """The contact is reached by this channel no longer. What the address itself does not want stays known."""
    _check_channel(channel)
    for address in of_channel(session, contact, channel):
        session.delete(address)
    session.flush()


def accept(
    session: Session, contact: Contact, address: Address, *, by: str | None = None, evidence: str | None = None
) -> None:
    """The address is verified: it takes the place of the one before, whose wishes it inherits, and is no longer held for dead.

    `by` and `evidence`: the official who vouches for it, and by what.
    """
    for other in of_channel(session, contact, address.channel):
        if other.id != address.id:
            for category in queries.opted_out(session, marks(other.channel, other.value)):
                opt_out = _nobodys(session, address.channel, address.value)
                _refuse_category(session, opt_out, category, "account")
            session.delete(other)
    address.verified_at, address.code_tries = now(), 0
    address.verified_by, address.evidence = by, evidence
    session.flush()
    alive = sa.update(Address).where(queries.marked(marks(address.channel, address.value)))
    session.execute(alive.values(bounced_at=None, bounce_reason=None, version=Address.version + 1))
    session.expire(address)


def opt_out(session: Session, contact: Contact, channel: str, category: str, how: str) -> None:
    """Nothing more of the category to the contact's verified address. Raises `Refused` for legal notices."""
    if category == "legal":
        raise Refused("legal_needed")
    address = _verified(session, contact, channel)
    _refuse_category(session, _nobodys(session, channel, address.value), category, how)


def opt_in(session: Session, contact: Contact, channel: str, category: str, *, owner: bool) -> None:
    """Messages of the category are wanted again. Raises `NotForThem` unless the contact itself says so."""
    if not owner:
        raise NotForThem("only_owner_opts_in")
    address = _verified(session, contact, channel)
    same = sa.select(Address.id).where(queries.marked(marks(channel, address.value)))
    session.execute(sa.delete(OptOut).where(OptOut.address_id.in_(same), OptOut.category == category))


def complained(session: Session, channel: str, address: str, category: str) -> None:
    """Whoever reads mail there called a message of the category spam: no more of those."""
    if category != "legal":
        _refuse_category(session, _nobodys(session, channel, address), category, "complaint")


def of_channel(session: Session, contact: Contact, channel: str) -> list[Address]:
    """At most one verified and one that is to take its place."""
    return [address for address in queries.addresses(session, contact.id) if address.channel == channel]


def _verified(session: Session, contact: Contact, channel: str) -> Address:
    for address in of_channel(session, contact, channel):
        if address.verified_at is not None:
            return address
    raise Refused("not_verified")


def _check_channel(channel: str) -> None:
    if channel not in settings().channels - {"in_app"}:
        raise Refused("channel_unknown", "path.channel", channels=", ".join(sorted(settings().channels - {"in_app"})))


def _refuse_category(session: Session, address: Address, category: str, how: str) -> None:
    row = insert(OptOut).values(address_id=address.id, category=category, at=now(), how=how)
    session.execute(row.on_conflict_do_nothing())


def _nobodys(session: Session, channel: str, value: str) -> Address:
    """The row for what is known of the address itself; made if there is none."""
    wanted = marks(channel, value)
    found = queries.nobodys(session, wanted)
    if found is None:
        found = _add(session, None, channel, value, 0) or queries.nobodys(session, wanted)
    if found is None:
        raise LookupError("an address is gone that was there a moment ago")
    return found


def _add(session: Session, contact_id: UUID | None, channel: str, value: str, rank: int) -> Address | None:
    """A new row; none if somebody else has made it meanwhile."""
    row = insert(Address).values(
        id=new_id(),
        version=1,
        contact_id=contact_id,
        channel=channel,
        value=value,
        fingerprint=queries.mark_in_use(session, marks(channel, value)),
        rank=rank,
        code_tries=0,
        unsubscribe_token=secrets.token_urlsafe(24),
        created_at=now(),
    )
    made = session.scalar(row.on_conflict_do_nothing().returning(Address.id))
    return session.get_one(Address, made) if made is not None else None
