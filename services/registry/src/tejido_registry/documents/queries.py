"""Which documents organizations have, and who saw them."""

from collections.abc import Iterable
from datetime import date
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_registry.models import Access, Document

ACCESS_SORTABLE = {"at": Access.at}


def of_organization(session: Session, organization_id: UUID) -> list[Document]:
    """The newest first."""
    query = sa.select(Document).where(Document.organization_id == organization_id)
    return list(session.scalars(query.order_by(Document.id.desc())))


def one(session: Session, organization_id: UUID, document_id: UUID, *, lock: bool = False) -> Document | None:
    query = sa.select(Document).where(Document.organization_id == organization_id, Document.id == document_id)
    return session.scalar(query.with_for_update() if lock else query)


def how_many(session: Session, organization_id: UUID) -> int:
    counted = sa.select(sa.func.count()).select_from(Document).where(Document.organization_id == organization_id)
    return session.scalar(counted) or 0


def same(session: Session, organization_id: UUID, document_type: str, sha256: str) -> Document | None:
    """The document of this type with these bytes, if it waits or serves."""
    return session.scalar(
        sa.select(Document)
        .where(
            Document.organization_id == organization_id,
            Document.document_type == document_type,
            Document.sha256 == sha256,
            Document.status.in_(("handed_in", "verified")),
        )
        .limit(1)
    )


def others(session: Session, document: Document, statuses: Iterable[str]) -> list[Document]:
    """Its organization's other documents of the same type with one of these statuses."""
    return list(
        session.scalars(
            sa.select(Document).where(
                Document.organization_id == document.organization_id,
                Document.document_type == document.document_type,
                Document.id != document.id,
                Document.status.in_(list(statuses)),
            )
        )
    )


def valid_on(day: date) -> sa.ColumnElement[bool]:
    """Verified, and good on this day."""
    return (Document.status == "verified") & (Document.expires_on.is_(None) | (Document.expires_on >= day))


def accesses(organization_id: UUID) -> sa.Select[Access]:
    return sa.select(Access).where(Access.organization_id == organization_id)


def known(session: Session, keys: Iterable[UUID]) -> set[UUID]:
    """Those of these keys of the store that have a row."""
    return set(session.scalars(sa.select(Document.file_key).where(Document.file_key.in_(list(keys)))))


def to_scan(session: Session, most: int) -> list[tuple[UUID, UUID]]:
    """Id and key of documents no scanner has seen. In no order, so that some which it cannot take do not hold up the others."""
    waiting = sa.select(Document.id, Document.file_key).where(
        Document.scanned_at.is_(None), Document.status.in_(("handed_in", "verified"))
    )
    return [(row.id, row.file_key) for row in session.execute(waiting.order_by(sa.func.random()).limit(most))]
