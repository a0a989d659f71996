"""Saved views, and making anew what requests are found by. Each use case takes a session and never commits."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, load_only

from tejido_requests.audit import service as audit
from tejido_requests.intake.service import tokens_of_request
from tejido_requests.models import SavedView, ServiceRequest
from tejido_requests.search.schemas import ExportQuery, ViewQuery
from tejido_shared.auth import Principal
from tejido_shared.clock import now
from tejido_shared.ids import new_id
from tejido_shared.personal import seal, unseal
from tejido_shared.refusals import NotForThem, Refused


def save_view(session: Session, caller: Principal, name: str, office: str | None, query: ViewQuery) -> SavedView:
    view = SavedView(owner=caller.subject, created_at=now())
    session.add(view)
    _set(session, caller, view, name, office, query)
    return view


def change_view(session: Session, caller: Principal, view: SavedView, changes: dict[str, Any]) -> None:
    """`changes` holds name, office or query."""
    check_may_change(caller, view)
    query = changes["query"] if "query" in changes else query_of(view)
    _set(session, caller, view, changes.get("name", view.name), changes.get("office", view.office), query)


def check_may_change(caller: Principal, view: SavedView) -> None:
    """Whoever made it, or a head of the office it is shared with: its maker may be gone. Raises `NotForThem`."""
    if view.owner != caller.subject and not (view.office is not None and caller.heads(view.office)):
        raise NotForThem("not_your_view")


def _set(session: Session, caller: Principal, view: SavedView, name: str, office: str | None, query: ViewQuery) -> None:
    if office is not None and office != view.office and office not in caller.offices:
        raise Refused("not_your_office", "office")
    stored = query.model_dump(mode="json", exclude_unset=True)
    if query.text is not None:
        stored["text"] = seal(query.text)  # it may be a person's name
    view.name, view.office, view.query = name, office, stored
    try:
        session.flush()
    except IntegrityError:
        raise Refused("view_exists", "name") from None


def query_of(view: SavedView) -> ViewQuery:
    """What a view asks for. Raises `Refused` if it was saved when there were other filters."""
    stored = dict(view.query)
    try:
        if "text" in stored:
            stored["text"] = unseal(stored["text"])
        return ViewQuery.model_validate(stored)
    except ValueError:
        raise Refused("view_outdated") from None


def record_export(session: Session, caller: Principal, asked: ExportQuery) -> None:
    """Who took personal data out, why, and of which requests: once for each export."""
    filters = asked.model_dump(mode="json", exclude_unset=True, exclude={"reason"})
    if asked.text is not None:
        filters["text"] = "…"  # it may be a person's name
    told = f"{asked.reason} {filters}"
    audit.record_access(session, [new_id()], caller.subject, "export", told)


_REQUEST: Any = sa.inspect(ServiceRequest).local_table
_REMAKE = (
    sa.update(_REQUEST).where(_REQUEST.c.id == sa.bindparam("of")).values(search_tokens=sa.bindparam("search_tokens"))
)
_READ = (
    *(ServiceRequest.subject, ServiceRequest.reasons, ServiceRequest.place_address, ServiceRequest.confidential),
    *(ServiceRequest.petitioner_name, ServiceRequest.petitioner_identification),
    *(ServiceRequest.representative_name, ServiceRequest.representative_identification),
)


def reindex(session: Session, after: UUID | None, limit: int) -> UUID | None:
    """Makes anew what the next `limit` requests after one are found by. Returns the last of them, none when there were no more.

    For requests from before there was a search, and for a data key that is taken out. Their versions stay.
    """
    query = (
        sa.select(ServiceRequest).options(load_only(*_READ, raiseload=True)).order_by(ServiceRequest.id).limit(limit)
    )
    if after is not None:
        query = query.where(ServiceRequest.id > after)
    found = session.scalars(query.with_for_update()).all()
    if not found:
        return None
    session.execute(
        _REMAKE,
        [
            {"of": request.id, "search_tokens": None if request.subject is None else tokens_of_request(request)}
            for request in found
        ],
    )
    return found[-1].id
