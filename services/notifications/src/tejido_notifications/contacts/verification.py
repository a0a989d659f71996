"""Proof that an address is whose it is said to be: a code that only its reader knows, or an official who saw other evidence."""

import hmac
import secrets
from datetime import timedelta

from sqlalchemy.orm import Session

from tejido_notifications.contacts import queries, service
from tejido_notifications.delivery.service import Cause, queue
from tejido_notifications.letters.kinds import VerificationCode
from tejido_notifications.models import Address, Contact, Delivery
from tejido_shared.clock import now
from tejido_shared.ids import new_id
from tejido_shared.logs import correlation_id
from tejido_shared.refusals import Refused

LIFE = timedelta(minutes=15)
TRIES = 5
PAUSE = timedelta(seconds=60)
A_DAY = timedelta(days=1)
CODES_TO_AN_ADDRESS, CODES_OF_A_CONTACT = 5, 15
"""In a day: nobody's mailbox is flooded, and with five tries each a code of six digits is not guessed."""


def send_code(session: Session, contact: Contact, channel: str) -> None:
    """Sends a new code to the address that waits for one, or to one that bounced; the code before is void.

    Raises `Refused` if nothing is to be verified, or if codes were asked for too often.
    """
    address = _unproved(session, contact, channel)
    instant = now()
    if address.code_sent_at is not None and instant < address.code_sent_at + PAUSE:
        wait = address.code_sent_at + PAUSE - instant
        raise Refused("code_too_soon", seconds=int(wait.total_seconds()) + 1)
    to_it = Delivery.fingerprint.in_(service.marks(channel, address.value))
    of_it = Delivery.about == contact.id
    yesterday = instant - A_DAY
    if (
        queries.codes_sent(session, to_it, yesterday) >= CODES_TO_AN_ADDRESS
        or queries.codes_sent(session, of_it, yesterday) >= CODES_OF_A_CONTACT
    ):
        raise Refused("code_too_often")
    address.code, address.code_sent_at, address.code_tries = f"{secrets.randbelow(10**6):06}", instant, 0
    session.flush()
    letter = VerificationCode(code=address.code, name=contact.name or "", minutes=int(LIFE.total_seconds() // 60))
    queue(
        session,
        Cause(new_id(), queries.VERIFICATION, contact.id, instant, correlation_id.get()),
        audience="organization" if contact.kind == "organization" else "account",
        recipient_key=str(contact.id),
        address=address.value,
        channel=channel,
        language=contact.language,
        context=letter.model_dump_json(),
    )


def verify(session: Session, contact: Contact, channel: str, code: str) -> Refused | None:
    """Verifies the address if that was its code. The right code is right again until it is too old.

    A refusal comes back and is not raised, for the try has to be on record: raise it when the transaction has ended.
    """
    instant = now()
    waiting = [one for one in service.of_channel(session, contact, channel) if one.code is not None]
    address = max(waiting, key=lambda one: one.code_sent_at or one.created_at, default=None)
    if address is None or address.code is None or address.code_sent_at is None:
        return Refused("code_none")
    if instant > address.code_sent_at + LIFE:
        return Refused("code_expired")
    if address.code_tries >= TRIES:
        return Refused("code_spent")
    address.code_tries += 1
    session.flush()
    if not hmac.compare_digest(address.code.encode(), code.replace(" ", "").encode()):
        return Refused("code_wrong", "code", left=TRIES - address.code_tries)
    if address.verified_at is None or address.bounced_at is not None:
        service.accept(session, contact, address)
    return None


def vouch(session: Session, contact: Contact, channel: str, value: str, evidence: str, official: str) -> None:
    """Verifies the address on the word of an official, who says what proves it, and of which address.

    Raises `Refused` if nothing is to be verified, or if it is another address: somebody may have replaced it meanwhile.
    """
    address = _unproved(session, contact, channel)
    if address.fingerprint not in service.marks(channel, value):
        raise Refused("address_not_waiting", "value")
    service.accept(session, contact, address, by=official, evidence=evidence)


def _unproved(session: Session, contact: Contact, channel: str) -> Address:
    """The address that is not verified yet, or the verified one if messages came back from it."""
    present = service.of_channel(session, contact, channel)
    if not present:
        raise Refused("address_none")
    for address in present:
        if address.verified_at is None:
            return address
    for address in present:
        if address.bounced_at is not None:
            return address
    raise Refused("already_verified")
