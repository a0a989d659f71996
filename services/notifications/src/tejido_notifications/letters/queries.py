"""What administrators saved."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session, undefer

from tejido_notifications.models import Delivery, TemplateVersion


def newest(session: Session) -> dict[tuple[str, str, str], tuple[int, str | None]]:
    """Number and source of the newest version of each text, by name, form and language."""
    of = (TemplateVersion.name, TemplateVersion.form, TemplateVersion.language)
    query = sa.select(*of, TemplateVersion.number, TemplateVersion.source).ext(distinct_on(*of))
    return {
        (row.name, row.form, row.language): (row.number, row.source)
        for row in session.execute(query.order_by(*of, TemplateVersion.number.desc()))
    }


def versions(name: str, form: str, language: str) -> sa.Select[TemplateVersion]:
    text = {"name": name, "form": form, "language": language}
    return sa.select(TemplateVersion).filter_by(**text)


def number_of_newest(session: Session, name: str, form: str, language: str) -> int:
    query = versions(name, form, language).with_only_columns(sa.func.max(TemplateVersion.number))
    return session.scalar(query) or 0


def version(session: Session, name: str, form: str, language: str, number: int) -> TemplateVersion | None:
    return session.scalar(versions(name, form, language).where(TemplateVersion.number == number))


def before(session: Session, of: TemplateVersion) -> TemplateVersion | None:
    """The version that this one took the place of."""
    older = versions(of.name, of.form, of.language).where(TemplateVersion.number < of.number)
    return session.scalar(older.order_by(TemplateVersion.number.desc()).limit(1))


def delivery(session: Session, delivery_id: object) -> Delivery | None:
    """A message with what it tells of. Raises `ValueError` if that cannot be decrypted."""
    return session.scalar(sa.select(Delivery).where(Delivery.id == delivery_id).options(undefer(Delivery.context)))
