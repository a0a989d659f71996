"""What the directory and its feed are read from. All of it is what everybody may see."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session, selectinload

from tejido_registry import queries as register
from tejido_registry.directory.schemas import DirectoryFilter
from tejido_registry.models import Change, Organization, PublicProfile
from tejido_registry.queries import Box
from tejido_registry.schemas import OrganizationQuery

WITH_CONSENTS = (selectinload(Organization.profile), selectinload(Organization.contacts))
"""What `views.consented` reads, of all the organizations of a list at once."""
_SETTLED = sa.text("pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
"""What is older than this has ended, in every database of the server: a long transaction in another one delays the feed."""


def profile_of(session: Session, organization_id: UUID) -> PublicProfile | None:
    return session.get(PublicProfile, organization_id)


def listed(asked: DirectoryFilter, box: Box | None) -> sa.Select[Organization]:
    """What of the directory is asked for."""
    plain = OrganizationQuery(**asked.model_dump(exclude={"bbox"}, exclude_none=True))
    query = register.matching(None, plain, box)
    if asked.q is not None:
        query = query.where(register.found_by(asked.q, officials=False))
    return query


def page(
    session: Session, number: int, size: int, modified_after: datetime | None
) -> tuple[int, Sequence[Organization]]:
    """How many there are in the directory, and the organizations of one page, in the order of their keys."""
    query = sa.select(Organization).where(register.listed())
    if modified_after is not None:
        query = query.where(_changed_after(modified_after))
    total = session.scalar(query.with_only_columns(sa.func.count())) or 0
    found = query.order_by(Organization.id).offset((number - 1) * size).limit(size).options(*WITH_CONSENTS)
    return total, session.scalars(found).all()


def themes_page(
    session: Session, number: int, size: int, modified_after: datetime | None, organization_id: UUID | None
) -> tuple[int, list[tuple[Organization, str]]]:
    """The same of pairs of an organization and a theme that it works on."""
    theme = sa.func.jsonb_array_elements_text(Organization.themes).table_valued("value").lateral("theme")
    query = sa.select(Organization, theme.c.value).join(theme, sa.true()).where(register.listed())
    if modified_after is not None:
        query = query.where(_changed_after(modified_after))
    if organization_id is not None:
        query = query.where(Organization.id == organization_id)
    total = session.scalar(query.with_only_columns(sa.func.count(), maintain_column_froms=True)) or 0
    found = query.order_by(Organization.id, theme.c.value).offset((number - 1) * size).limit(size)
    rows = session.execute(found.options(*WITH_CONSENTS)).all()
    return total, [(row[0], row[1]) for row in rows]


def one(session: Session, organization_id: UUID) -> Organization | None:
    query = sa.select(Organization).where(Organization.id == organization_id, register.listed())
    return session.scalar(query.options(*WITH_CONSENTS))


def _changed_after(instant: datetime) -> sa.ColumnElement[bool]:
    return Organization.id.in_(sa.select(Change.organization_id).where(Change.at > instant))


def changes(session: Session, after: tuple[int, int], limit: int) -> list[Any]:
    """Up to `limit` changes after a place (transaction, row), with what the directory says now of the organization of each.

    They are read in the order in which their transactions began to write, and only up to the oldest that is still at work: what it
    will commit comes before all that is held back, so nobody who reads on from the last place misses it.
    """
    query = (
        sa.select(
            Change.tx,
            Change.id,
            Change.organization_id,
            Change.at,
            register.listed().label("is_listed"),
            Organization.number,
            Organization.merged_into.label("merged_into"),
        )
        .join(Organization, Organization.id == Change.organization_id)
        .where(sa.tuple_(Change.tx, Change.id) > sa.tuple_(*map(sa.literal, after)), Change.tx < _SETTLED)
        .order_by(Change.tx, Change.id)
        .limit(limit)
    )
    return list(session.execute(query).all())
