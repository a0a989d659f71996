"""A page of the register's list: filtered, and where it is asked for by words, in the order of how well they fit."""

from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_registry import queries
from tejido_registry.directory.queries import WITH_CONSENTS
from tejido_registry.models import Organization
from tejido_registry.queries import Box
from tejido_registry.schemas import OrganizationQuery
from tejido_shared.auth import Principal
from tejido_shared.pages import Page, page_of
from tejido_shared.refusals import Refused

Item = TypeVar("Item")
_ALIKE = "~"
"""Before the cursor of a page of those that are only alike, which come after all that were found as they were written."""
_LAST = "<"
"""The cursor of the last page of a list."""


def page(
    session: Session,
    caller: Principal | None,
    asked: OrganizationQuery,
    box: Box | None,
    near: tuple[float, float] | None,
    to_item: Callable[[Organization], Item],
) -> Page[Item]:
    """A few statements, however many organizations there are. Raises `Refused`, `NotForThem`."""
    query = queries.matching(caller, asked, box, near).options(*WITH_CONSENTS)
    sort = asked.sort or ("distance" if near else "relevance" if asked.q else "name")
    if sort == "distance" and near is None:
        raise Refused("near_missing", "query.near")
    if sort == "relevance" and asked.q is None:
        sort = "name"
    orders: dict[str, Any] = dict(queries.SORTABLE)
    if near is not None:
        orders["distance"] = queries.distance(*near, inside=queries.sees_all(caller, asked))
    if asked.q is None:
        return page_of(session, query, asked, to_item, sort=sort, orders=orders, key=Organization.id)
    exact = queries.found_by(asked.q, officials=queries.is_official(caller))
    if sort != "relevance":
        return page_of(session, query.where(exact), asked, to_item, sort=sort, orders=orders, key=Organization.id)
    if asked.cursor is not None and asked.cursor.startswith(_ALIKE):
        return _alike(session, query, asked, exact, to_item)
    orders = {"relevance": queries.by_relevance(asked.q)}
    found = page_of(session, query.where(exact), asked, to_item, sort="relevance", orders=orders, key=Organization.id)
    if found.next is not None or not queries.may_be_mistyped(asked.q):
        return found
    if found.items:  # whoever typed it right is not to wait for what only resembles it
        return found.model_copy(update={"next": _ALIKE})
    return _alike(session, query, asked.model_copy(update={"cursor": None}), None, to_item)


def _alike(
    session: Session,
    query: sa.Select[Organization],
    asked: OrganizationQuery,
    exact: sa.ColumnElement[bool] | None,
    to_item: Callable[[Organization], Item],
) -> Page[Item]:
    """Of those that are only alike. `exact`: what was found as it was written, and is not to come again."""
    wrong = queries.mistyped(session, asked.q or "")
    if not wrong:  # no page of ours led here
        raise Refused("cursor", "query.cursor")
    condition, order = queries.resembling(asked.q or "", wrong)
    if exact is not None:
        query = query.where(~exact)
    within = asked.model_copy(update={"cursor": (asked.cursor or "").removeprefix(_ALIKE) or None})
    found = page_of(
        session,
        query.where(condition),
        within,
        to_item,
        sort="relevance",
        orders={"relevance": order},
        key=Organization.id,
    )
    return Page(
        items=found.items,
        next=found.next and _ALIKE + found.next,
        previous=_ALIKE + found.previous if found.previous else _LAST if exact is not None else None,
    )
