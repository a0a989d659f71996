"""What citizens do with their number and code beyond what officers also do: rating the answer."""

from sqlalchemy.orm import Session

from tejido_requests.audit import service as audit
from tejido_requests.clocks.service import OPEN
from tejido_requests.models import Rating, ServiceRequest
from tejido_shared.clock import now
from tejido_shared.refusals import Refused


def rate(session: Session, request: ServiceRequest, stars: int, comment: str | None) -> None:
    """Keeps, once, what the citizen thinks of a notified answer: 1 to 5 stars."""
    if request.status != "notified":
        raise Refused("not_notified" if request.status in OPEN else "request_ended")
    if session.get(Rating, request.id) is not None:
        raise Refused("rated_already")
    instant = now()
    session.add(Rating(request_id=request.id, stars=stars, comment=comment, at=instant))
    audit.record(session, request, "rated", instant, None)
    session.flush()
