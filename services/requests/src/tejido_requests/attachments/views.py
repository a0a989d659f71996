"""What people are shown of documents."""

from tejido_requests.attachments.schemas import AttachmentOut
from tejido_requests.attachments.service import store
from tejido_requests.models import Attachment

_AS_STORED = ("id", "purpose", "public", "media_type", "size", "sha256", "uploaded_at")


def to_desk(row: Attachment, *, confidential: bool) -> AttachmentOut:
    """As officials see it. A name says often enough whose it is."""
    return _out(row, None if confidential else row.name, row.uploaded_by)


def to_citizen(row: Attachment) -> AttachmentOut:
    """As the citizen sees it, without who of the desk put it there."""
    return _out(row, row.name, None)


def _out(row: Attachment, name: str | None, uploaded_by: str | None) -> AttachmentOut:
    status = "infected" if row.infected else "ready" if store.may_serve(row.scanned_at) else "not_scanned"
    return AttachmentOut.model_validate(
        {part: getattr(row, part) for part in _AS_STORED} | {"name": name, "uploaded_by": uploaded_by, "status": status}
    )
