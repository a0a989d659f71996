"""Asking the citizen to complete the request, and what comes of it (Ley 1755/2015 art. 17); withdrawing it."""

from datetime import date, datetime

from sqlalchemy.orm import Session

from tejido_requests.clocks import service as clocks
from tejido_requests.desk import extensions, service
from tejido_requests.intake.service import sealed
from tejido_requests.models import ServiceRequest
from tejido_requests.settings import jurisdiction
from tejido_shared import contracts
from tejido_shared.clock import now
from tejido_shared.personal import seal
from tejido_shared.refusals import Refused


def ask_for_completion(
    session: Session, request: ServiceRequest, what: str, at: datetime | None, author: str, evidence: str | None = None
) -> None:
    """Asks the citizen for what is missing: the clock rests. `late` in the history flags that the window to ask had passed.

    To have asked on an earlier day takes proof: the citizen's time to complete runs from then, and an overdue answer could be undone.
    """
    service.unanswered(request)
    if extensions.pending(session, request) is not None:
        # A term that rests is not extended: the citizen would have a mail that names a date which never held.
        raise Refused("extension_pending_proof")
    at = service.dated(session, request, at)
    counted = service.judge(session, request, "asked_to_complete", at, {})
    earlier = _local_day(at) < _local_day(now())
    if evidence is None and (earlier or service.overdue_now(request)):
        raise Refused("evidence_needed", "evidence")
    details = {"late": True} if counted.asked_late else {}
    service.enter(session, request, counted, "asked_to_complete", at, author, details, reason=what, evidence=evidence)
    term = jurisdiction().procedure.complete
    service.send(
        session,
        request,
        contracts.RequestCompletionAsked(
            **service.told(request),
            asked_at=at,
            what=contracts.Sealed(seal(what)),
            complete_until=request.citizen_due_date,
            days_left=request.days_left,
            may_be_extended=term is not None and term.extension_max_added is not None,
        ),
    )


def complete(
    session: Session,
    request: ServiceRequest,
    text: str | None,
    at: datetime | None,
    author: str | None,
    evidence: str | None = None,
) -> None:
    """The citizen completed the request: the clock goes on the day after, with what was left of it."""
    _resume(session, request, "completed", at, author, reason=text, evidence=evidence)


def withdraw_completion(
    session: Session, request: ServiceRequest, reasons: str, at: datetime | None, author: str
) -> None:
    """The office does without what it had asked for."""
    _resume(session, request, "completion_withdrawn", at, author, reason=reasons)


def _resume(
    session: Session, request: ServiceRequest, kind: str, at: datetime | None, author: str | None, **said: str | None
) -> None:
    service.unanswered(request)
    at = service.dated(session, request, at)
    service.enter(session, request, service.judge(session, request, kind, at, {}), kind, at, author, {}, **said)


def extend_completion(
    session: Session, request: ServiceRequest, reasons: str, at: datetime | None, author: str
) -> None:
    """The citizen, who asked for it before the month was over, gets once as much again to complete."""
    service.unanswered(request)
    at = service.dated(session, request, at)
    until = _citizens_term(session, request)
    term = jurisdiction().procedure.complete
    if until is None or term is None or term.extension_max_added is None:
        raise Refused("completion_not_extendable")
    since_asked = [told.kind for told in service.history_of(session, request) if told.at >= until.started_at]
    if "completion_extended" in since_asked:
        raise Refused("completion_extended_already")
    if until.deadline.overdue_at is None or at >= until.deadline.overdue_at:
        raise Refused("completion_lapsed")
    counted = service.judge(session, request, "completion_extended", at, {})
    service.enter(session, request, counted, "completion_extended", at, author, {}, reason=reasons)


def _citizens_term(session: Session, request: ServiceRequest) -> clocks.Clock | None:
    """The citizen's running time to complete; none where the place knows no such term. Raises `Refused` if nothing was asked."""
    if request.status != "paused":
        raise Refused("not_paused")
    found = clocks.clocks(session, request, service.history_of(session, request))
    return next((c for c in reversed(found) if c.kind == "citizen_completion" and c.status == "running"), None)


def withdraw(
    session: Session,
    request: ServiceRequest,
    reasons: str | None,
    at: datetime | None,
    author: str | None,
    evidence: str | None,
) -> None:
    """The citizen no longer wants an answer (CPACA art. 18)."""
    service.unanswered(request)
    at = service.dated(session, request, at)
    _end_by_withdrawal(session, request, at, author, tacit=False, reasons=reasons, evidence=evidence)


def decide_withdrawal(session: Session, request: ServiceRequest, reasons: str, author: str, *, withdraw: bool) -> None:
    """The citizen let the month pass: a person decides, with reasons, that the request is withdrawn, or that the office goes on with
    what it has, which starts the clock again. Never done by the system itself."""
    service.unanswered(request)
    until = _citizens_term(session, request)
    at = now()
    if until is None or until.deadline.overdue_at is None or at < until.deadline.overdue_at:
        raise Refused("completion_not_lapsed")
    if withdraw:
        _end_by_withdrawal(session, request, at, author, tacit=True, reasons=reasons)
    else:
        withdraw_completion(session, request, reasons, None, author)


def _end_by_withdrawal(
    session: Session,
    request: ServiceRequest,
    at: datetime,
    author: str | None,
    *,
    tacit: bool,
    reasons: str | None,
    evidence: str | None = None,
) -> None:
    if service.merged_into(session, request):
        raise Refused("answers_others")
    counted, details = service.judge(session, request, "withdrawn", at, {}), {"tacit": tacit}
    service.enter(session, request, counted, "withdrawn", at, author, details, reason=reasons, evidence=evidence)
    event = contracts.RequestWithdrawn(**service.told(request), withdrawn_at=at, tacit=tacit, reasons=sealed(reasons))
    service.send(session, request, event)


def _local_day(instant: datetime) -> date:
    return instant.astimezone(jurisdiction().zone).date()
