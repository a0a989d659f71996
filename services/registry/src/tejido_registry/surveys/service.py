"""Campaigns to visit the organizations of some areas anew: what is due is seen in them, and a verification by visit counts."""

from datetime import date

from sqlalchemy.orm import Session

from tejido_registry.models import Organization, Survey
from tejido_registry.settings import jurisdiction
from tejido_registry.standing.service import today
from tejido_registry.surveys.schemas import SurveyIn
from tejido_shared.clock import now
from tejido_shared.deadlines import months_after
from tejido_shared.refusals import Refused

LONGEST_MONTHS = 60


def create(session: Session, body: SurveyIn, author: str) -> Survey:
    """Raises `Refused` for an area that the jurisdiction does not have, or days that cannot be."""
    known = {area.code for area in jurisdiction().areas}
    flaws = [(f"areas.{index}", "unknown_area") for index, code in enumerate(body.areas) if code not in known]
    if body.ends_on < body.starts_on:
        flaws.append(("ends_on", "dates_reversed"))
    elif body.starts_on < date(2000, 1, 1) or body.ends_on > months_after(body.starts_on, LONGEST_MONTHS):
        flaws.append(("ends_on", "survey_too_long"))
    if flaws:
        raise Refused(fields=flaws, months=LONGEST_MONTHS)
    survey = Survey(
        name=body.name,
        areas=list(dict.fromkeys(body.areas)),
        starts_on=body.starts_on,
        ends_on=body.ends_on,
        created_by=author,
        created_at=now(),
    )
    session.add(survey)
    session.flush()
    return survey


def close(session: Session, survey: Survey) -> None:
    """No visit counts any more. Raises `Refused` if it is closed."""
    if survey.closed_at is not None:
        raise Refused("survey_closed")
    survey.closed_at = now()
    session.flush()


def visited_since() -> date:
    """A full visit before this day is too long ago."""
    return months_after(today(), -jurisdiction().registration.policy.resurvey_months)


def refuse_foreign(survey: Survey | None, organization: Organization, method: str, on: date) -> None:
    """Raises `Refused` unless a verification of the organization by this method on this day may be part of the survey."""
    if survey is None:
        raise Refused("unknown_survey", "survey_id")
    if survey.closed_at is not None:
        raise Refused("survey_closed")
    if method != "visit":
        raise Refused("survey_needs_visit", "method")
    if survey.areas and (organization.area or organization.area_found) not in survey.areas:
        raise Refused("not_in_survey", "survey_id")
    if on < survey.starts_on:
        raise Refused("before_survey", "verified_on")
