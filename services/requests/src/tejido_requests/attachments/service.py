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
    the file just kept is not needed. Raises `Refused` when there are too many, or the request has ended.
    """
    public = purpose not in _NOT_SHOWN if public is None else public
    before = queries.same(session, request.id, kept.sha256, purpose)
    if before is not None:
        before.public = before.public or public
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
    details = {"purpose": purpose, "media_type": kept.media_type, "size": kept.size}
    audit.record(session, request, "attached", row.uploaded_at, author, details)
    session.flush()
    return row


def scanned(session: Session, attachment_id: UUID, at: datetime, *, infected: bool) -> None:
    """What the scanner found in a document that had been kept unseen."""
    row = session.get(Attachment, attachment_id)
    if row is None:
        return
    row.scanned_at, row.infected = at, infected
    if infected:
        request = session.get_one(ServiceRequest, row.request_id)
        audit.record(session, request, "attachment_infected", at, None, {"purpose": row.purpose})
    session.flush()
