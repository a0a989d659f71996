"""Documents of organizations. The file is kept first, the row comes second: a row without its file would be a promise broken."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_registry import service
from tejido_registry.documents import queries
from tejido_registry.models import Access, Document, Organization
from tejido_registry.procedure import queries as procedure
from tejido_registry.renewal import service as renewal
from tejido_registry.settings import jurisdiction, settings
from tejido_shared import i18n
from tejido_shared.clock import now
from tejido_shared.deadlines import months_after
from tejido_shared.files import Kept, Store
from tejido_shared.jurisdiction import DocumentType
from tejido_shared.jurisdiction.register import Actor
from tejido_shared.refusals import NotForThem, Refused

PACKAGE = service.PACKAGE
AREA = "registry-documents"
store = Store(AREA, lambda: settings().common)


def valid(session: Session, organization_ids: Iterable[UUID], on: date) -> dict[UUID, set[str]]:
    """The types of the documents that are verified and good on this day, by organization; one statement for all."""
    wanted = list(organization_ids)
    found: dict[UUID, set[str]] = {key: set() for key in wanted}
    rows = session.execute(
        sa.select(Document.organization_id, Document.document_type).where(
            Document.organization_id.in_(wanted), queries.valid_on(on)
        )
    )
    for key, code in rows:
        found[key].add(code)
    return found


def standing_of(session: Session, organization_id: UUID, today: date) -> dict[str, str]:
    """Document type: the most that can be said of what there is: verified, handed_in, expired or refused."""
    found: dict[str, set[str]] = defaultdict(set)
    for one in queries.of_organization(session, organization_id):
        expired = one.expires_on is not None and one.expires_on < today
        found[one.document_type].add("expired" if expired and one.status != "refused" else one.status)
    order = ("verified", "handed_in", "expired", "refused")
    return {code: next((said for said in order if said in all_), "expired") for code, all_ in found.items()}


def admit(session: Session, organization: Organization, by: Actor, document_type: str | None = None) -> None:
    """Raises `Refused` if the organization takes no more documents (of this type) from `by`."""
    if organization.merged_into is not None:
        raise Refused("organization_merged")
    if by == "representative":
        if organization.registration_status == "cancelled":
            raise Refused("documents_ended")
        asked = document_type is not None and procedure.correcting(session, organization.id)
        if asked and f"document:{document_type}" not in procedure.flagged(session, organization.id):
            raise NotForThem("only_flagged")
    most = settings().documents_per_organization
    if queries.how_many(session, organization.id) >= most:
        raise Refused("documents_full", most=most)


def dated(kind: DocumentType, issued_on: date | None, expires_on: date | None) -> tuple[date | None, date | None]:
    """The dates of a document of this type as to store. Raises `Refused` for dates that cannot be."""
    today = service.today()
    if issued_on is not None and issued_on > today:
        raise Refused("day_in_future", "issued_on")
    if kind.valid_months is not None:
        if issued_on is None:
            raise Refused("issued_on_missing", "issued_on")
        last = months_after(issued_on, kind.valid_months)
        if expires_on is not None and expires_on > last:
            raise Refused("expires_too_late", "expires_on", months=kind.valid_months)
        expires_on = expires_on or last
    if expires_on is not None and issued_on is not None and expires_on < issued_on:
        raise Refused("expires_before_issue", "expires_on")
    if expires_on is not None and expires_on < today:
        raise Refused("document_expired", "expires_on", day=f"{expires_on:%d/%m/%Y}")
    return issued_on, expires_on


def kind_of(code: str) -> DocumentType:
    try:
        return jurisdiction().document_type(code)
    except LookupError:
        raise Refused("unknown_document_type", "document_type") from None


def hand_in(
    session: Session,
    organization: Organization,
    kept: Kept,
    kind: DocumentType,
    dates: tuple[date | None, date | None],
    by: Actor,
    author: str,
) -> tuple[Document, bool]:
    """The row of a file that is in the store, and whether it is new. The organization must be locked.

    The same bytes of the same type are one document, however often they come: then its row is returned, whose file is another, and the
    one just kept is not needed. One of the same type that nobody has judged yet is replaced; a verified one serves on until the new
    one is verified. Raises `Refused`.
    """
    admit(session, organization, by, kind.code)
    issued_on, expires_on = dates
    before = queries.same(session, organization.id, kind.code, kept.sha256)
    if before is not None:
        if before.status == "handed_in":
            before.issued_on, before.expires_on = issued_on, expires_on
        return before, False
    document = Document(
        organization_id=organization.id,
        document_type=kind.code,
        personal=kind.personal,
        issued_on=issued_on,
        expires_on=expires_on,
        file_key=kept.key,
        file_name=kept.name,
        media_type=kept.media_type,
        size=kept.size,
        sha256=kept.sha256,
        scanned_at=kept.scanned,
        status="handed_in",
        handed_in_at=now(),
        handed_in_by=author,
    )
    session.add(document)
    session.flush()
    for one in queries.others(session, document, ["handed_in"]):
        one.status = "replaced"
    _record(session, organization, document, "document_handed_in", author)
    return document, True


def verify(
    session: Session,
    organization: Organization,
    document: Document,
    author: str,
    issued_on: date | None,
    expires_on: date | None,
) -> None:
    """An official found it good: it serves every procedure until it expires. Both must be locked. Raises `Refused`."""
    if document.status == "verified" and issued_on is None and expires_on is None:
        return
    if document.status not in ("handed_in", "verified"):
        raise Refused("document_judged")
    if not store.may_serve(document.scanned_at):
        raise Refused("document_not_scanned")
    kind = kind_of(document.document_type)
    said = issued_on or document.issued_on
    # A corrected date of issue has the last day counted anew.
    last = expires_on or (None if issued_on and kind.valid_months else document.expires_on)
    document.issued_on, document.expires_on = dated(kind, said, last)
    for one in queries.others(session, document, ["verified"]):
        one.status = "replaced"
    _judge(session, organization, document, "verified", author)


def refuse(session: Session, organization: Organization, document: Document, author: str | None, reason: str) -> None:
    """It does not serve, or no longer. Both must be locked. Raises `Refused`."""
    if document.status not in ("handed_in", "verified"):
        raise Refused("document_judged")
    document.reason = reason
    _judge(session, organization, document, "refused", author)


def record_access(session: Session, document: Document, subject: str) -> None:
    """Somebody sees this document."""
    session.add(
        Access(organization_id=document.organization_id, at=now(), subject=subject, what="document", seen=document.id)
    )


def scanned(session: Session, document_id: UUID, key: UUID, at: datetime, *, infected: bool) -> bool:
    """What the scanner found in a document that had been kept unseen. False if that is known already."""
    found = session.get(Document, document_id)
    if found is None:
        return False
    organization = session.get_one(Organization, found.organization_id, with_for_update=True)
    document = session.get_one(Document, document_id, with_for_update=True)
    if document.file_key != key or document.scanned_at is not None:
        return False
    document.scanned_at = at
    if infected and document.status in ("handed_in", "verified"):
        refuse(session, organization, document, None, i18n.text(PACKAGE, "reason.infected", "es"))
    session.flush()
    return True


def _judge(session: Session, organization: Organization, document: Document, status: str, author: str | None) -> None:
    document.status = status
    document.judged_at, document.judged_by = now(), author
    session.flush()
    _record(session, organization, document, f"document_{status}", author)
    renewal.refresh(session, organization)


def _record(session: Session, organization: Organization, document: Document, kind: str, author: str | None) -> None:
    """Its name is not told: people write persons' names into it."""
    service.record(session, organization, kind, author, document=str(document.id), document_type=document.document_type)
