"""Reading which documents a request has."""

from collections.abc import Iterable
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_requests.models import Attachment, ServiceRequest

_PUBLIC = Attachment.public & (
    (Attachment.purpose != "answer")
    | sa.exists().where(ServiceRequest.id == Attachment.request_id, ServiceRequest.answered_at.is_not(None))
)
"""What the citizen may see: an answer's documents not before the answer."""


def of_request(session: Session, request_id: UUID, *, public: bool) -> list[Attachment]:
    """A request's documents, the oldest first; with `public`, those the citizen may see."""
    query = sa.select(Attachment).where(Attachment.request_id == request_id)
    return list(session.scalars((query.where(_PUBLIC) if public else query).order_by(Attachment.id)))


def one(session: Session, request_id: UUID, attachment_id: UUID, *, public: bool) -> Attachment | None:
    query = sa.select(Attachment).where(Attachment.request_id == request_id, Attachment.id == attachment_id)
    return session.scalar(query.where(_PUBLIC) if public else query)


def how_many(session: Session, request_id: UUID, *, by_citizen: bool) -> int:
    """How many documents came from the citizen, or else from the desk."""
    sender = Attachment.uploaded_by.is_(None) if by_citizen else Attachment.uploaded_by.is_not(None)
    counted = sa.select(sa.func.count()).select_from(Attachment)
    return session.scalar(counted.where(Attachment.request_id == request_id, sender)) or 0


def same(session: Session, request_id: UUID, sha256: str, purpose: str) -> Attachment | None:
    """The document with these bytes that serves the same purpose."""
    return session.scalar(
        sa.select(Attachment).where(
            Attachment.request_id == request_id, Attachment.sha256 == sha256, Attachment.purpose == purpose
        )
    )


def known(session: Session, keys: Iterable[UUID]) -> set[UUID]:
    """Those of these keys of the store that have a row which still needs the file."""
    kept = sa.select(Attachment.key).where(Attachment.key.in_(list(keys)), Attachment.infected.is_(False))
    return set(session.scalars(kept))


def to_scan(session: Session, most: int) -> list[tuple[UUID, UUID]]:
    """Id and key of documents no scanner has seen. In no order, so that some which it cannot take do not hold up the others."""
    waiting = sa.select(Attachment.id, Attachment.key).where(
        Attachment.scanned_at.is_(None), Attachment.infected.is_(False)
    )
    return [(row.id, row.key) for row in session.execute(waiting.order_by(sa.func.random()).limit(most))]


def request_of(session: Session, number: str) -> ServiceRequest | None:
    return session.scalar(sa.select(ServiceRequest).where(ServiceRequest.number == number))


def locked(session: Session, request_id: UUID) -> ServiceRequest | None:
    return session.scalar(sa.select(ServiceRequest).where(ServiceRequest.id == request_id).with_for_update())
