"""What may be read. The inventory is public: whoever sees one project sees them all."""

import re
import unicodedata
from collections.abc import Collection, Iterable
from datetime import datetime, time
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_projects.models import KnownOrganization, Project, StageEntry
from tejido_projects.schemas import ProjectQuery
from tejido_projects.settings import jurisdiction

LONGEST_LINE = 20
"""How often an organization may have been merged into another that was merged in its turn."""
SORTABLE = {"presented_at": Project.presented_at, "title": sa.func.fold(Project.title)}


def one(session: Session, project_id: UUID, *, lock: bool = False) -> Project | None:
    query = sa.select(Project).where(Project.id == project_id)
    return session.scalar(query.with_for_update(of=Project) if lock else query)


def survivors(session: Session, some: Iterable[KnownOrganization]) -> dict[UUID, KnownOrganization]:
    """In which organization each of these lives on: itself, unless it was merged into one that is known here."""
    found = {one.id: one for one in some}
    for _ in range(LONGEST_LINE):
        wanted = {one.merged_into for one in found.values() if one.merged_into is not None}
        if not wanted:
            break
        known = {
            one.id: one for one in session.scalars(sa.select(KnownOrganization).where(KnownOrganization.id.in_(wanted)))
        }
        found |= {key: known[one.merged_into] for key, one in found.items() if one.merged_into in known}
        if wanted.isdisjoint(known):
            break
    return found


def family(session: Session, organization_id: UUID) -> set[UUID]:
    """The organizations that live on in the same one as this."""
    one = session.get(KnownOrganization, organization_id)
    if one is None:
        return {organization_id}
    survivor = survivors(session, [one])[organization_id]
    line = sa.select(sa.literal(survivor.id, sa.Uuid).label("id")).cte(recursive=True)
    line = line.union(sa.select(KnownOrganization.id).where(KnownOrganization.merged_into == line.c.id))
    return {organization_id, *session.scalars(sa.select(line.c.id))}


def matching(asked: ProjectQuery, organizations: Collection[UUID] | None = None) -> sa.Select[Project]:
    """The projects asked for; `organizations` is the family of the organization asked for."""
    query = sa.select(Project)
    zone = jurisdiction().zone
    if asked.stage is not None:
        query = query.where(Project.stage == asked.stage)
    if organizations is not None:
        query = query.where(Project.organization_id.in_(organizations))
    if asked.locality is not None:
        query = query.where(sa.func.fold(Project.locality) == sa.func.fold(asked.locality))
    if asked.presented_from is not None:
        query = query.where(Project.presented_at >= datetime.combine(asked.presented_from, time.min, zone))
    if asked.presented_until is not None:
        query = query.where(Project.presented_at <= datetime.combine(asked.presented_until, time.max, zone))
    if asked.q is not None:
        words = _words(asked.q)
        wanted = sa.func.to_tsquery("simple", " & ".join(f"{word}:*" for word in words))
        query = query.where(Project.words.op("@@")(wanted) if words else sa.false())
    return query


def history_of(session: Session, project_id: UUID) -> list[StageEntry]:
    query = sa.select(StageEntry).where(StageEntry.project_id == project_id).order_by(StageEntry.at, StageEntry.id)
    return list(session.scalars(query))


def _words(text: str) -> list[str]:
    """The words of a search, cut as the column `words` is."""
    plain = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    return re.findall("[a-z0-9]+", plain.lower())
