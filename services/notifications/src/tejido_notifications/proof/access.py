"""Who may see what was written to a petitioner, by what the events of requests tell."""

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from tejido_notifications.models import Delivery, KnownRequest
from tejido_shared.auth import Principal
from tejido_shared.clock import now
from tejido_shared.contracts import Envelope, ProofSeen, RequestAccessChanged, RequestSubmitted, Sealed
from tejido_shared.jurisdiction import Role
from tejido_shared.outbox import emit
from tejido_shared.personal import seal
from tejido_shared.problems import NotFound
from tejido_shared.refusals import NotForThem


def remember_request(session: Session, event: RequestSubmitted | RequestAccessChanged, envelope: Envelope) -> None:
    """Keeps whose a request is, and whether its petitioner is confidential. What is older than what is known is ignored."""
    row = insert(KnownRequest).values(
        id=event.request_id,
        version=envelope.subject_version,
        office=event.office,
        confidential=event.confidential,
    )
    newer = {name: row.excluded[name] for name in ("version", "office", "confidential")}
    older = KnownRequest.version < row.excluded.version
    session.execute(row.on_conflict_do_update(index_elements=["id"], set_=newer, where=older))


def is_confidential(session: Session, delivery: Delivery) -> bool:
    """Whether the message went to a petitioner whose identity is kept."""
    known = session.get(KnownRequest, delivery.about)
    return known is not None and known.confidential


def check(session: Session, delivery: Delivery, caller: Principal) -> None:
    """A head sees what concerns requests of the own offices only, and nobody without a reason who asks confidentially.

    Raises `NotFound` for another office's, as requests does, and `NotForThem` for a confidential one.
    """
    known = session.get(KnownRequest, delivery.about)
    if known is None:
        return
    if not (caller.heads(known.office) or caller.has(Role.AUDITOR)):
        raise NotFound
    if known.confidential:
        raise NotForThem("proof_confidential")


def disclose(session: Session, delivery: Delivery, caller: Principal, reason: str) -> None:
    """Has requests record, with the reason, that the caller sees who asks. Raises `NotFound` for who is not the head of its office."""
    known = session.get(KnownRequest, delivery.about)
    if known is None or known.office not in caller.headed:
        raise NotFound
    event = ProofSeen(
        message_id=delivery.id,
        cause_type=delivery.cause_type,
        about=delivery.about,
        seen_at=now(),
        by=caller.subject,
        reason=Sealed(seal(reason)),
    )
    emit(session, event, version=delivery.version)
