"""Who may know who asks, and the proof of who looked."""

from sqlalchemy.orm import Session

from tejido_requests.audit import service
from tejido_requests.intake.service import tokens_of_request
from tejido_requests.models import ServiceRequest
from tejido_shared.auth import Principal
from tejido_shared.clock import now
from tejido_shared.contracts import RequestAccessChanged
from tejido_shared.outbox import emit
from tejido_shared.refusals import NotForThem, Refused


def see_identity(session: Session, request: ServiceRequest, caller: Principal, reason: str) -> None:
    """Records that the caller sees who asks. Raises `NotForThem` outside the request's office."""
    _of_the_office(request, caller)
    service.record_access(session, [request.id], caller.subject, "identity", reason)


def change(session: Session, request: ServiceRequest, caller: Principal, *, confidential: bool, reason: str) -> None:
    """Hides who asks, or shows it again: that is for the head to decide. A hidden name is no longer found by search.

    Raises `NotForThem` outside the request's office or from an officer who lifts it, `Refused` once its data was erased.
    """
    _of_the_office(request, caller)
    if request.tombstoned_at is not None:
        raise Refused("request_erased")
    if request.confidential == confidential:
        return
    if not confidential and not caller.heads(request.office):
        raise NotForThem("head_lifts_confidentiality")
    request.confidential = confidential
    request.search_tokens = tokens_of_request(request)
    details = {"confidential": confidential}
    service.record(session, request, "confidentiality_changed", now(), caller.subject, details, reason=reason)
    session.flush()
    tell(session, request)


def tell(session: Session, request: ServiceRequest) -> None:
    """Tells whoever holds letters to the petitioner who may see them. The request's row is as it now is."""
    event = RequestAccessChanged(request_id=request.id, office=request.office, confidential=request.confidential)
    emit(session, event, version=request.version)


def _of_the_office(request: ServiceRequest, caller: Principal) -> None:
    if request.office not in caller.offices:
        raise NotForThem("not_of_the_office")
