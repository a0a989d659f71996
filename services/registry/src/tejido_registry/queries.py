"""What may be read, and by whom."""

import re
import unicodedata
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import REGCONFIG
from sqlalchemy.orm import Session

from tejido_registry.models import HistoryEntry, Identifier, Organization
from tejido_registry.schemas import OrganizationQuery
from tejido_shared.auth import Principal
from tejido_shared.jurisdiction import Role

PUBLIC_STATUSES = ("registered", "inactive", "suspended", "withdrawn", "cancelled")
"""A draft, or an application that is being looked at or was rejected, is nobody else's business."""
OFFICIALS = (Role.REGISTRAR, Role.OFFICER, Role.HEAD, Role.AUDITOR)
SORTABLE = {"name": Organization.sort_name, "registered_at": Organization.registered_at}
HISTORY_SORTABLE = {"at": HistoryEntry.at}


def is_official(principal: Principal | None) -> bool:
    return principal is not None and principal.has(*OFFICIALS)


def visible_to(principal: Principal | None) -> sa.Select[Organization]:
    """The organizations a caller may see: all for officials, their own for representatives, the published ones for everybody."""
    query = sa.select(Organization)
    if is_official(principal):
        return query
    public = Organization.registration_status.in_(PUBLIC_STATUSES)
    if principal is not None and principal.organizations:
        return query.where(public | Organization.id.in_(principal.organizations))
    return query.where(public)


def one(
    session: Session, principal: Principal | None, organization_id: UUID, *, lock: bool = False
) -> Organization | None:
    query = visible_to(principal).where(Organization.id == organization_id)
    return session.scalar(query.with_for_update() if lock else query)


def matching(
    principal: Principal | None, asked: OrganizationQuery, box: tuple[float, float, float, float] | None
) -> sa.Select[Organization]:
    """The organizations asked for; `box` is west, south, east, north."""
    query = visible_to(principal)
    for column in ("organization_type", "registration_status"):
        wanted = getattr(asked, column)
        if wanted is not None:
            query = query.where(getattr(Organization, column) == wanted)
    for column in ("locality", "territory"):
        wanted = getattr(asked, column)
        if wanted is not None:
            query = query.where(sa.func.fold(getattr(Organization, column)) == fold(wanted))
    if box is not None:
        west, south, east, north = box
        query = query.where(Organization.latitude.between(south, north), Organization.longitude.between(west, east))
    if asked.q is not None:
        query = query.where(_found_by(asked.q, officials=is_official(principal)))
    return query


def history_of(organization_id: UUID) -> sa.Select[HistoryEntry]:
    return sa.select(HistoryEntry).where(HistoryEntry.organization_id == organization_id)


def fold(text: str) -> str:
    """A text without accents and capitals, as the database's function of the same name makes it."""
    decomposed = unicodedata.normalize("NFD", text)
    return re.sub("[\u0300-\u036f]", "", decomposed).lower()


def _found_by(q: str, *, officials: bool) -> sa.ColumnElement[bool]:
    """Every word is in one of the names, whole, as a beginning or in another number; or `q` is one of its numbers."""
    written = q.strip().upper()
    digits = re.sub("[^0-9]", "", written)
    numbers = {written, digits} - {""}
    if len(digits) == 10:
        numbers.add(digits[:-1])  # a NIT with its check digit, which is stored apart
    owners = sa.select(Identifier.organization_id).where(Identifier.value.in_(numbers))
    if not officials:
        owners = owners.where(~Identifier.of_a_person)
    # A union, since with OR the planner rather walks the whole list in its order than uses three indexes.
    found: list[sa.Select[Any]] = [owners, sa.select(Organization.id).where(Organization.number == written)]
    words = re.findall(r"[^\W_]+", fold(q))
    if words:
        terms = [_tsquery("simple", f"{word}:*").op("||")(_tsquery("spanish", word)) for word in words[:20]]
        wanted = terms[0]
        for term in terms[1:]:
            wanted = wanted.op("&&")(term)
        found.append(sa.select(Organization.id).where(Organization.searchable.bool_op("@@")(wanted)))
    return Organization.id.in_(sa.union(*found))


def _tsquery(configuration: str, text: str) -> sa.ColumnElement[Any]:
    return sa.func.to_tsquery(sa.cast(configuration, REGCONFIG), text)
