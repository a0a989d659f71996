"""Giving work to people. Each use case takes a session and never commits."""

import heapq
from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from tejido_requests.audit import service as audit
from tejido_requests.models import DeskOfficer, Note, ServiceRequest
from tejido_requests.search.queries import due_order
from tejido_requests.work import queries
from tejido_requests.work.schemas import BalanceOut, ItemOutcome, OfficerIn, Outcome, Share
from tejido_shared.auth import Principal
from tejido_shared.clock import now
from tejido_shared.refusals import Refused


def set_officer(session: Session, office: str, subject: str, said: OfficerIn) -> DeskOfficer:
    """Makes an account an officer of this desk, or says whether it is there. Waits while the office's work is being balanced."""
    values: dict[str, Any] = {"present": said.present, "away_until": said.away_until, "changed_at": now()}
    if "email" in said.model_fields_set:
        values["email"] = said.email
    row = insert(DeskOfficer).values(subject=subject, office=office, **values)
    row = row.on_conflict_do_update(
        index_elements=["subject", "office"], set_={name: row.excluded[name] for name in values}
    )
    return session.scalars(row.returning(DeskOfficer), execution_options={"populate_existing": True}).one()


def assign(session: Session, request: ServiceRequest, subject: str | None, author: str) -> None:
    """Gives a request to an officer of its office, there or away, or to nobody. Raises `Refused` for another's officer and a request
    that has ended."""
    known = subject is not None and queries.offices_that_know(session, subject, [request.office])
    outcome = _assign(request, subject, bool(known))
    if outcome == "ended":
        raise Refused("request_ended")
    if outcome == "unknown_officer":
        raise Refused("unknown_officer", "subject")
    if outcome == "assigned":
        _record(session, [request], author)


def assign_all(session: Session, caller: Principal, ids: Sequence[UUID], subject: str | None) -> list[ItemOutcome]:
    """The same for many: what can be assigned is, and each is told apart."""
    # Locked in one order everywhere, so that two of these do not wait for each other.
    locked = (
        queries.worked_on_by(caller).where(ServiceRequest.id.in_(ids)).order_by(ServiceRequest.id).with_for_update()
    )
    found = {request.id: request for request in session.scalars(locked)}
    offices = {request.office for request in found.values()}
    knowing = queries.offices_that_know(session, subject, offices) if subject is not None else set()
    outcomes: dict[UUID, Outcome] = {
        request.id: _assign(request, subject, request.office in knowing) for request in found.values()
    }
    _record(session, [found[id_] for id_, outcome in outcomes.items() if outcome == "assigned"], caller.subject)
    return [ItemOutcome(id=id_, outcome=outcomes.get(id_, "not_found")) for id_ in dict.fromkeys(ids)]


def _assign(request: ServiceRequest, subject: str | None, known: bool) -> Outcome:
    if request.closed_at is not None:
        return "ended"
    if request.assignee == subject:
        return "unchanged"
    if subject is not None and not known:
        return "unknown_officer"
    request.assignee, request.assigned_at = subject, None if subject is None else now()
    return "assigned"


def _record(session: Session, requests: Sequence[ServiceRequest], author: str) -> None:
    instant = now()
    audit.record_all(
        session, [audit.entry(request, "assigned", instant, author, {"to": request.assignee}) for request in requests]
    )
    session.flush()


def balance(session: Session, office: str, limit: int, author: str) -> BalanceOut:
    """Spreads an office's unassigned open requests, the earliest due first, over its officers who are there: each goes to whoever has
    fewest open, by subject among equals. Raises `Refused` if nobody is there.

    One at a time for each office, by the locks on its officers; so nobody who has just left is given anything.
    """
    officers = session.scalars(queries.officers_of(office).order_by(DeskOfficer.subject).with_for_update()).all()
    there = [officer.subject for officer in officers if queries.is_available(officer)]
    if not there:
        raise Refused("nobody_present")
    free = queries.unassigned(office)
    first = sa.select(ServiceRequest.id).where(*free).order_by(due_order, ServiceRequest.id).limit(limit)
    locked = (
        sa.select(ServiceRequest)
        .where(ServiceRequest.id.in_(first), *free)  # once more, for what was taken before it was locked
        .order_by(ServiceRequest.id)
        .with_for_update()
    )
    requests = sorted(session.scalars(locked), key=lambda request: (request.due_date or date.max, request.id))
    loads = queries.open_loads(session, office)
    heap = [(loads.get(subject, 0), subject) for subject in there]
    heapq.heapify(heap)
    given: Counter[str] = Counter()
    instant = now()
    for request in requests:
        load, subject = heap[0]
        request.assignee, request.assigned_at = subject, instant
        given[subject] += 1
        heapq.heapreplace(heap, (load + 1, subject))
    _record(session, requests, author)
    left = session.scalar(sa.select(sa.func.count()).select_from(ServiceRequest).where(*free))
    shares = [Share(subject=subject, assigned=given[subject], open_requests=load) for load, subject in heap]
    return BalanceOut(assigned=len(requests), left=left or 0, officers=sorted(shares, key=lambda share: share.subject))


def note(session: Session, request: ServiceRequest, text: str, author: str) -> Note:
    """Not in the history, which the citizen sees. Raises `Refused` once personal data was erased: what is noted now nobody would erase."""
    if request.tombstoned_at is not None:
        raise Refused("personal_data_erased")
    written = Note(request_id=request.id, at=now(), author=author, text=text)
    session.add(written)
    session.flush()
    return written
