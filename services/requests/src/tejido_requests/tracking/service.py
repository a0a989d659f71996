"""What citizens do with their number and code: as officers, and beyond that rate the answer."""

from sqlalchemy.orm import Session

from tejido_requests.audit import service as audit
from tejido_requests.clocks.service import OPEN
from tejido_requests.desk import family
from tejido_requests.desk.service import told_the_answer_at
from tejido_requests.models import Rating, ServiceRequest
from tejido_shared.clock import now
from tejido_shared.refusals import Refused


def dispute(session: Session, request: ServiceRequest, reasons: str) -> ServiceRequest:
    """The new request of a citizen who does not agree with the answer."""
    try:
        return family.reopen(session, request, reasons, None, channel="web")
    except Refused as refused:
        if not refused.fields:
            raise
        # Something that only an officer can give, as a date that an authority set.
        raise Refused("dispute_at_the_office") from None


def rate(session: Session, request: ServiceRequest, stars: int, comment: str | None) -> None:
    """Keeps, once, what the citizen thinks of a notified answer: 1 to 5 stars."""
    if told_the_answer_at(session, request) is None:
        raise Refused("not_notified" if request.status in (*OPEN, "merged") else "request_ended")
    if request.tombstoned_at is not None:
        raise Refused("request_erased")  # a comment would stay for ever
    if session.get(Rating, request.id) is not None:
        raise Refused("rated_already")
    instant = now()
    session.add(Rating(request_id=request.id, stars=stars, comment=comment, at=instant))
    audit.record(session, request, "rated", instant, None)
    session.flush()
