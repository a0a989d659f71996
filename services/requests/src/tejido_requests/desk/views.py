"""A request as its office sees it."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_requests.audit.queries import history_of
from tejido_requests.audit.views import history_out
from tejido_requests.clocks import service as clocks
from tejido_requests.clocks import views
from tejido_requests.desk.schemas import CompletionOut, DraftOut, PartialAnswer, RequestOut
from tejido_requests.intake.schemas import Petitioner
from tejido_requests.models import Draft, HistoryEntry, ServiceRequest
from tejido_requests.organizations import survivor
from tejido_requests.search.schemas import RequestSummary
from tejido_requests.search.views import summary_fields

_MADE = {
    *("petitioner", "organization_id", "attachments", "clock", "clocks", "history", "answers"),
    *("completions", "partial_answers", "children", "reopened_as"),
}
_ASKING = ("asked_to_complete", "completed", "completion_withdrawn")


def petitioner_of(request: ServiceRequest) -> Petitioner | None:
    """Who asks. Constructed, not validated: what was accepted under earlier rules is still shown."""
    if not request.petitioner_name:
        return None
    names = ("name", "identification", "email", "phone", "address")
    return Petitioner.model_construct(
        **{name: getattr(request, f"petitioner_{name}") for name in names},
        representative_name=request.representative_name,
        representative_identification=request.representative_identification,
    )


def whole(session: Session, request: ServiceRequest) -> RequestOut:
    names = RequestOut.model_fields.keys() - RequestSummary.model_fields.keys() - _MADE
    entries = history_of(session, request.id)
    history = clocks.history_from(entries)
    found = clocks.as_kept(session, request.id, clocks.clocks(session, request, history))
    clock = views.clock_out(session, request, history)
    return RequestOut(
        **summary_fields(request),
        **{name: getattr(request, name) for name in names},
        # The names of documents are the petitioner's own words: how many there are is what is left of them.
        attachments=[None] * len(request.attachments) if request.confidential else request.attachments,
        petitioner=None if request.confidential else petitioner_of(request),
        organization_id=None
        if request.confidential or request.organization_id is None
        else survivor(session, request.organization_id),
        answers=json.loads(request.answers_given) if request.answers_given else {},
        clock=clock,
        clocks=views.running(found),
        completions=completions(session, request.id, entries),
        partial_answers=partial_answers(session, entries),
        children=said(entries, "split", "children") or [],
        reopened_as=said(entries, "reopened", "number"),
        history=history_out(entries),
    )


def said(entries: Sequence[dict[str, Any]], kind: str, detail: str) -> Any:
    """A detail of the last entry of this kind; none if there is no such entry."""
    return next((entry["details"].get(detail) for entry in reversed(entries) if entry["kind"] == kind), None)


def completions(
    session: Session | sa.Connection, request_id: UUID, entries: Sequence[dict[str, Any]]
) -> list[CompletionOut]:
    """What was asked of the citizen, the last at the end."""
    if not any(entry["kind"] == "asked_to_complete" for entry in entries):
        return []
    found: list[CompletionOut] = []
    rows = session.execute(
        sa.select(HistoryEntry.at, HistoryEntry.kind, HistoryEntry.details, HistoryEntry.reason)
        .where(HistoryEntry.request_id == request_id, HistoryEntry.kind.in_(_ASKING))
        .order_by(HistoryEntry.at, HistoryEntry.id)
    )
    for row in rows:
        if row.kind == "asked_to_complete":
            found.append(CompletionOut(asked_at=row.at, what=row.reason, late=row.details.get("late", False)))
        elif found:
            found[-1].ended_at, found[-1].text, found[-1].completed = row.at, row.reason, row.kind == "completed"
    return found


def partial_answers(session: Session | sa.Connection, entries: Sequence[dict[str, Any]]) -> list[PartialAnswer]:
    told = [entry for entry in entries if entry["kind"] == "partial_answer"]
    if not told:
        return []
    ids = [UUID(entry["details"]["draft_id"]) for entry in told]
    texts = {row.id: row.text for row in session.execute(sa.select(Draft.id, Draft.text).where(Draft.id.in_(ids)))}
    # Nothing once it was erased.
    return [
        PartialAnswer(number=entry["details"]["number"], issued_at=entry["at"], text=texts.get(draft_id, ""))
        for entry, draft_id in zip(told, ids, strict=True)
    ]


def draft_out(draft: Draft) -> DraftOut:
    return DraftOut(**{name: getattr(draft, name) for name in DraftOut.model_fields})
