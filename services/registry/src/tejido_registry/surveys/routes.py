"""HTTP only: parse, call one use case, return the model."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from tejido_registry import queries as organizations
from tejido_registry.db import tx
from tejido_registry.models import Organization, Survey
from tejido_registry.surveys import queries, schemas, service, views
from tejido_shared.api import etag
from tejido_shared.auth import Principal, require
from tejido_shared.idempotency import IdempotencyKey
from tejido_shared.jurisdiction import Role
from tejido_shared.pages import Page, page_of
from tejido_shared.problems import NotFound

router = APIRouter(prefix="/v1/surveys", tags=["surveys"])

Registrar = Annotated[Principal, Depends(require(Role.REGISTRAR))]
Official = Annotated[Principal, Depends(require(*organizations.OFFICIALS))]


@router.post("", status_code=201, summary="Begin a campaign of visits")
def create_survey(body: schemas.SurveyIn, once: IdempotencyKey, caller: Registrar) -> schemas.SurveyOut:
    with tx() as session:

        def act() -> schemas.SurveyOut:
            return views.survey_out(session, service.create(session, body, caller.subject))

        return once.run(session, schemas.SurveyOut, act)


@router.get("", summary="Campaigns of visits, the newest first")
def list_surveys(asked: Annotated[schemas.SurveyQuery, Query()], _: Official) -> Page[schemas.SurveySummary]:
    with tx() as session:
        return page_of(
            session,
            queries.matching(asked),
            asked,
            lambda survey: schemas.SurveySummary(**views.summary_fields(survey)),
            sort=asked.sort,
            orders=queries.SORTABLE,
            key=Survey.id,
        )


@router.get("/{survey_id}", summary="One campaign and how far it is")
def read_survey(survey_id: UUID, _: Official, response: Response) -> schemas.SurveyOut:
    with tx() as session:
        survey = _found(queries.one(session, survey_id))
        response.headers["ETag"] = etag(survey)
        return views.survey_out(session, survey)


@router.get("/{survey_id}/organizations", summary="Whom it is still to visit, or has visited")
def list_survey_organizations(
    survey_id: UUID, asked: Annotated[schemas.ToVisitQuery, Query()], _: Official
) -> Page[schemas.VisitOut]:
    with tx() as session:
        survey = _found(queries.one(session, survey_id))
        page = page_of(
            session,
            queries.organizations(survey, asked, service.visited_since()),
            asked,
            _itself,
            sort=asked.sort,
            orders=queries.VISIT_SORTABLE,
            key=Organization.id,
        )
        return Page(items=views.visits_out(session, page.items), next=page.next, previous=page.previous)


@router.post("/{survey_id}/close", summary="End a campaign of visits")
def close_survey(survey_id: UUID, once: IdempotencyKey, _: Registrar) -> schemas.SurveyOut:
    """Its figures stay as they are; no visit counts any more."""
    with tx() as session:

        def act() -> schemas.SurveyOut:
            survey = _found(queries.one(session, survey_id, lock=True))
            service.close(session, survey)
            return views.survey_out(session, survey)

        return once.run(session, schemas.SurveyOut, act)


def _found(survey: Survey | None) -> Survey:
    if survey is None:
        raise NotFound
    return survey


def _itself(organization: Organization) -> Organization:
    return organization
