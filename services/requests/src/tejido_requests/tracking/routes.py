"""The citizen's side over HTTP."""

import hmac
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path
from sqlalchemy import Connection
from sqlalchemy.orm import Session

from tejido_requests.audit.queries import entries
from tejido_requests.audit.views import history_out
from tejido_requests.clocks import service as clocks
from tejido_requests.clocks import views
from tejido_requests.db import rows, tx
from tejido_requests.desk import completion
from tejido_requests.desk.views import completions, partial_answers, said
from tejido_requests.models import ServiceRequest
from tejido_requests.settings import PACKAGE, jurisdiction
from tejido_requests.tracking import queries, schemas, service
from tejido_shared import i18n
from tejido_shared.auth import Anybody
from tejido_shared.idempotency import IdempotencyKey
from tejido_shared.problems import NotFound

router = APIRouter(prefix="/v1")

Number = Annotated[str, Path(max_length=60, pattern=r"^\s*[\w-]+\s*$")]
Code = Annotated[
    str,
    Header(
        alias="Tracking-Code",
        max_length=40,
        description="The code on the receipt. In a header, for addresses end up in logs",
    ),
]


def check_code(stored: str | None, given: str) -> None:
    """A wrong code and an unknown number look alike, or numbers could be counted out. Raises `NotFound`."""
    if stored is None or not hmac.compare_digest(stored.encode(), given.strip().upper().encode()):
        raise NotFound


@router.get("/tracking/{number}", tags=["tracking"], summary="Follow a request with its number and code")
def track(number: Number, _: Anybody, code: Code) -> schemas.TrackingOut:
    with rows() as connection:
        request = queries.tracked(connection, number.strip().upper())
        check_code(request and request.tracking_code, code)
        return _shown(connection, request)


@router.post("/tracking/{number}/completion", tags=["tracking"], summary="Give what was asked for")
def complete(
    number: Number, body: schemas.CompletionTextIn, once: IdempotencyKey, _: Anybody, code: Code
) -> schemas.TrackingOut:
    """At any hour: the clock goes on from then."""
    return acted(once, number, code, lambda s, request: completion.complete(s, request, body.text, None, None))


@router.post("/tracking/{number}/withdrawal", tags=["tracking"], summary="Withdraw your request")
def withdraw(
    number: Number, body: schemas.CitizenWithdrawalIn, once: IdempotencyKey, _: Anybody, code: Code
) -> schemas.TrackingOut:
    evidence = i18n.text(PACKAGE, "desk.withdrawn_by_code", "es")
    return acted(
        once, number, code, lambda s, request: completion.withdraw(s, request, body.reasons, None, None, evidence)
    )


@router.post("/tracking/{number}/rating", tags=["tracking"], summary="Rate the answer, once")
def rate(number: Number, body: schemas.RatingIn, once: IdempotencyKey, _: Anybody, code: Code) -> schemas.TrackingOut:
    return acted(once, number, code, lambda s, request: service.rate(s, request, body.stars, body.comment))


@router.post("/tracking/{number}/dispute", status_code=201, tags=["tracking"], summary="Dispute the answer")
def dispute(
    number: Number, body: schemas.DisputeIn, once: IdempotencyKey, _: Anybody, code: Code
) -> schemas.TrackingOut:
    """A new request with a clock of its own, which comes back; its code is the same. The first one's outcome stays."""
    return acted(once, number, code, lambda s, request: service.dispute(s, request, body.reasons))


def acted(
    once: IdempotencyKey, number: str, code: str, act: Callable[[Session, ServiceRequest], ServiceRequest | None]
) -> schemas.TrackingOut:
    """One act of the citizen on the own request, locked, in one transaction and safe to repeat.

    What comes back is that request, or the other one that the act returns.
    """
    with tx() as session:
        request = _mine(session, number, code)

        def run() -> schemas.TrackingOut:
            shown = act(session, request) or request
            session.flush()
            connection = session.connection()
            return _shown(connection, queries.tracked(connection, shown.number))

        return once.run(session, schemas.TrackingOut, run)


def _mine(session: Session, number: str, code: str) -> ServiceRequest:
    """The request, locked. Nobody without the code holds it up."""
    key = session.execute(queries.key_of(number.strip().upper())).one_or_none()
    check_code(key and key.tracking_code, code)
    return session.get_one(ServiceRequest, key.id, with_for_update=True)  # type: ignore[union-attr]


def _shown(connection: Connection, request: Any) -> schemas.TrackingOut:
    told = entries(request.history)
    names = ("number", "type_name", "status", "project")
    answer = {name: getattr(request, name) for name in queries.ANSWER}
    notified_at = request.notified_at
    if request.merged_into_id is not None:
        answer = queries.answer_of(connection, request.merged_into_id)
        notified_at = next((entry["at"] for entry in told if entry["kind"] == "merged_notified"), None)
    asked = None
    if request.status == "paused":
        what = completions(connection, request.id, told)[-1].what
        asked = schemas.AskedOut(what=what, until=request.citizen_due_date)
    return schemas.TrackingOut(
        **{name: getattr(request, name) for name in names},
        **answer,
        notified_at=notified_at,
        office_name=jurisdiction().office_name(request.office),
        clock=views.clock_out(connection, request, clocks.history_from(told)),
        asked=asked,
        partial_answers=partial_answers(connection, told),
        transferred_to=said(told, "transferred", "authority"),
        merged_into=said(told, "merged", "number"),
        split_into=said(told, "split", "children") or [],
        reopened_as=said(told, "reopened", "number"),
        may_rate=notified_at is not None
        and request.tombstoned_at is None
        and not any(entry["kind"] == "rated" for entry in told),
        history=history_out(told),
    )
