"""A request in a list."""

from typing import Any

from sqlalchemy.orm import load_only

from tejido_requests.models import ServiceRequest
from tejido_requests.search.schemas import RequestListed, RequestSummary
from tejido_shared.clock import now

_COLUMNS = sorted(RequestSummary.model_fields.keys() - {"overdue"})
_SUBJECT = 160
LISTED = load_only(
    *(getattr(ServiceRequest, name) for name in (*_COLUMNS, "subject", "overdue_at", "closed_at")), raiseload=True
)
"""The columns of a list: of what is encrypted only the subject is read, and nothing can be one row at a time."""


def summary_fields(request: ServiceRequest) -> dict[str, Any]:
    overdue = request.closed_at is None and request.overdue_at is not None and request.overdue_at <= now()
    return {name: getattr(request, name) for name in _COLUMNS} | {"overdue": overdue}


def summary(request: ServiceRequest) -> RequestSummary:
    return RequestSummary(**summary_fields(request))


def listed(request: ServiceRequest) -> RequestListed:
    subject = " ".join(request.subject.split())
    cut = subject if len(subject) <= _SUBJECT else f"{subject[: _SUBJECT - 1]}…"
    return RequestListed(**summary_fields(request), subject=cut)
