"""The organizations of a survey, and what became of them."""

from datetime import date
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_registry.axes import ESSENTIAL
from tejido_registry.models import Organization, Survey, Verification
from tejido_registry.surveys.schemas import SurveyQuery, ToVisitQuery

SORTABLE = {"starts_on": Survey.starts_on}
VISIT_SORTABLE = {"name": Organization.sort_name}
STATUSES = ("registered", "inactive", "suspended")
"""Whom a survey visits."""
AREA = sa.func.coalesce(Organization.area, Organization.area_found)


def matching(asked: SurveyQuery) -> sa.Select[Survey]:
    query = sa.select(Survey)
    if asked.open is not None:
        query = query.where(Survey.closed_at.is_(None) if asked.open else Survey.closed_at.is_not(None))
    return query


def one(session: Session, survey_id: UUID, *, lock: bool = False) -> Survey | None:
    return session.get(Survey, survey_id, with_for_update=lock or None)


def of_survey(survey: Survey) -> sa.ColumnElement[bool]:
    """The organizations that a survey is about. Once it is closed, none that came later."""
    conditions: list[sa.ColumnElement[bool]] = [Organization.registration_status.in_(STATUSES)]
    if survey.areas:
        conditions.append(AREA.in_(survey.areas))
    if survey.closed_at is not None:
        conditions.append(Organization.registered_at <= survey.closed_at)
    return sa.and_(*conditions)


def state(survey: Survey) -> sa.ColumnElement[str]:
    """visited, not_found or to_visit: what the visits of the survey found."""
    mine = sa.exists().where(
        Verification.organization_id == Organization.id,
        Verification.survey_id == survey.id,
        Verification.method == "visit",
    )
    confirmed = mine.where(Verification.result != "not_confirmed")
    return sa.case((confirmed, "visited"), (mine, "not_found"), else_="to_visit")


def last_full_visit() -> sa.ScalarSelect[Any]:
    return (
        sa.select(sa.func.max(Verification.verified_on))
        .where(
            Verification.organization_id == Organization.id,
            Verification.method == "visit",
            Verification.result != "not_confirmed",
            Verification.fields.contains(list(ESSENTIAL)),
        )
        .correlate(Organization)
        .scalar_subquery()
    )


def is_overdue(since: date) -> sa.ColumnElement[bool]:
    """Whose last full visit was before a day, or never."""
    return sa.func.coalesce(last_full_visit() < since, True)


def organizations(survey: Survey, asked: ToVisitQuery, since: date) -> sa.Select[Organization]:
    query = sa.select(Organization).where(of_survey(survey), state(survey) == asked.state)
    return query.where(is_overdue(since)) if asked.overdue else query


def last_full_visits(session: Session, ids: list[UUID]) -> dict[UUID, date | None]:
    query = sa.select(Organization.id, last_full_visit().label("day")).where(Organization.id.in_(ids))
    return {row.id: row.day for row in session.execute(query)}


def progress(session: Session, survey: Survey, since: date) -> list[tuple[str, int, int]]:
    """Of each state how many organizations, and how many of them are overdue."""
    found = (
        sa.select(state(survey).label("state"), is_overdue(since).label("overdue")).where(of_survey(survey)).subquery()
    )
    late = sa.func.count().filter(found.c.overdue)
    query = sa.select(found.c.state, sa.func.count().label("organizations"), late.label("late")).group_by(found.c.state)
    return [(row.state, row.organizations, row.late) for row in session.execute(query)]
