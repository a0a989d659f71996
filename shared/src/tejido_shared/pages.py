"""Lists in pages: a cursor that stays true while rows come and go, and a sort order from a fixed choice."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Generic, TypeVar

import sqlalchemy as sa
from pydantic import BaseModel, Field
from sqlakeyset import InvalidPage, select_page, unserialize_bookmark
from sqlalchemy.orm import Session

from tejido_shared.refusals import Refused

Item = TypeVar("Item")

Limit = Annotated[int, Field(ge=1, le=200, description="Items on one page")]
Cursor = Annotated[
    str | None, Field(max_length=500, description="`next` or `previous` of another page of the same list")
]


class PageQuery(BaseModel):
    """What every list takes; a list derives its own filters from it."""

    model_config = {"extra": "forbid"}

    limit: Limit = 50
    cursor: Cursor = None


class Page(BaseModel, Generic[Item]):
    items: list[Item]
    next: str | None = Field(None, description="Cursor of the next page; none on the last")
    previous: str | None = Field(None, description="Cursor of the page before; none on the first")


def page_of(
    session: Session,
    query: sa.Select[Any],
    asked: PageQuery,
    to_item: Callable[[Any], Item],
    *,
    sort: str,
    orders: Mapping[str, Any],
    key: Any,
) -> Page[Item]:
    """One page of `query`. `sort` names a column of `orders`, with `-` before it for descending; `key` makes the order total."""
    column = orders[sort.removeprefix("-")]
    descending = sort.startswith("-")
    ordered = query.order_by(column.desc() if descending else column.asc(), key.desc() if descending else key.asc())
    try:
        marker = unserialize_bookmark(asked.cursor) if asked.cursor else None
        rows = select_page(session, ordered, per_page=asked.limit, page=marker)
    except (
        InvalidPage,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        sa.exc.ArgumentError,
        sa.exc.DataError,
        sa.exc.ProgrammingError,
    ):
        if not asked.cursor:
            raise  # it was not the caller's doing
        raise Refused("cursor", "query.cursor") from None
    return Page(
        items=[to_item(row[0]) for row in rows],
        next=rows.paging.bookmark_next if rows.paging.has_next else None,
        previous=rows.paging.bookmark_previous if rows.paging.has_previous else None,
    )
