"""What people are shown of documents."""

from datetime import date

from tejido_registry.documents.schemas import DocumentOut
from tejido_registry.documents.service import store
from tejido_registry.models import Document
from tejido_registry.settings import jurisdiction

_AS_STORED = (
    *("id", "document_type", "personal", "issued_on", "expires_on", "status", "file_name", "media_type", "size"),
    *("sha256", "handed_in_at", "judged_at", "reason"),
)


def shown(document: Document, today: date, *, official: bool) -> DocumentOut:
    try:
        name = jurisdiction().document_type(document.document_type).name
    except LookupError:
        name = document.document_type
    return DocumentOut.model_validate(
        {part: getattr(document, part) for part in _AS_STORED}
        | {
            "type_name": name,
            "valid": document.status == "verified" and (document.expires_on is None or document.expires_on >= today),
            "readable": store.may_serve(document.scanned_at),
            "handed_in_by": document.handed_in_by if official else None,
            "judged_by": document.judged_by if official else None,
        }
    )
