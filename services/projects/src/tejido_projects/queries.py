"""What may be read. The inventory is public: whoever sees one project sees them all."""

import re
import unicodedata
from datetime import datetime, time
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_projects.models import Project, StageEntry
from tejido_projects.schemas import ProjectQuery
from tejido_projects.settings import jurisdiction

SORTABLE = {"presented_at": Project.presented_at, "title": sa.func.fold(Project.title)}


def one(session: Session, project_id: UUID, *, lock: bool = False) -> Project | None:
    query = sa.select(Project).where(Project.id == project_id)
    return session.scalar(query.with_for_update(of=Project) if lock else query)


def matching(asked: ProjectQuery) -> sa.Select[Project]:
    query = sa.select(Project)
    zone = jurisdiction().zone
    if asked.stage is not None:
        query = query.where(Project.stage == asked.stage)
    if asked.organization_id is not None:
        query = query.where(Project.organization_id == asked.organization_id)
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
