"""Documents of a request. The file is kept first, the row comes second: a row without its file would be a promise broken."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from tejido_requests.attachments import queries
from tejido_requests.audit import service as audit
from tejido_requests.models import Attachment, ServiceRequest
from tejido_requests.settings import settings
from tejido_shared.clock import now
from tejido_shared.files import Kept, Store
from tejido_shared.refusals import Refused

store = Store("requests", lambda: settings().common)
_NOT_SHOWN = ("note", "evidence")
"""Purposes that the citizen does not see unless it is said."""


def admit(session: Session, request: ServiceRequest, author: str | None) -> None:
    """Raises `Refused` if the request takes no more documents of `author`, the citizen if none."""
    if request.tombstoned_at is not None or (author is None and request.closed_at is not None):
        raise Refused("request_ended")
    limit = settings().attachments_per_request
    if queries.how_many(session, request.id, by_citizen=author is None) >= limit:
        raise Refused("attachments_full", limit=limit)


def attach(
    session: Session, request: ServiceRequest, kept: Kept, purpose: str, public: bool | None, author: str | None
) -> Attachment:
    """The row of a file that is in the store. The request must be locked.

    The same bytes for the same purpose are one document, however often they come: then its row is returned, whose key is another, and
    the file just kept is not needed, unless a virus had been found in the one before. Raises `Refused` when there are too many, or
    the request has ended.
    """
    public = purpose not in _NOT_SHOWN if public is None else public
    before = queries.same(session, request.id, kept.sha256, purpose)
    if before is not None:
        before.public = before.public or public
        if before.infected:  # its file is gone; this one the scanner let pass, or will see
            before.key, before.scanned_at, before.infected = kept.key, kept.scanned, False
            _record(session, request, before, author)
        return before
    admit(session, request, author)
    row = Attachment(
        request_id=request.id,
        purpose=purpose,
        public=public,
        key=kept.key,
        name=kept.name,
        media_type=kept.media_type,
        size=kept.size,
        sha256=kept.sha256,
        scanned_at=kept.scanned,
        infected=False,
        uploaded_at=now(),
        uploaded_by=author,
    )
    session.add(row)
    _record(session, request, row, author)
    return row


def _record(session: Session, request: ServiceRequest, row: Attachment, author: str | None) -> None:
    details = {"purpose": row.purpose, "media_type": row.media_type, "size": row.size}
    audit.record(session, request, "attached", now(), author, details)
    session.flush()


def scanned(session: Session, attachment_id: UUID, key: UUID, at: datetime, *, infected: bool) -> bool:
    """What the scanner found in a document that had been kept unseen. False if that is known already, or the document is another now."""
    row = session.get(Attachment, attachment_id, with_for_update=True)
    if row is None or row.key != key or row.scanned_at is not None:
        return False
    row.scanned_at, row.infected = at, infected
    if infected:
        request = session.get_one(ServiceRequest, row.request_id)
        audit.record(session, request, "attachment_infected", at, None, {"purpose": row.purpose})
    session.flush()
    return True
