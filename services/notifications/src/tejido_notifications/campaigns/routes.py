"""HTTP only: parse, call one use case, return the model."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from tejido_notifications.campaigns import queries, schemas, service, views
from tejido_notifications.db import read, tx
from tejido_notifications.models import Campaign
from tejido_shared.api import IfMatch, check_match, etag
from tejido_shared.auth import Principal, require
from tejido_shared.idempotency import IdempotencyKey
from tejido_shared.jurisdiction import Role
from tejido_shared.pages import Page, page_of
from tejido_shared.problems import NotFound

router = APIRouter(prefix="/v1", tags=["campaigns"])

Caller = Annotated[Principal, Depends(require(Role.SUPERVISOR))]
Reader = Annotated[Principal, Depends(require(Role.SUPERVISOR, Role.HEAD))]


@router.post("/campaigns", status_code=201, summary="Draft a call to many organizations")
def draft_campaign(body: schemas.CampaignIn, once: IdempotencyKey, caller: Caller) -> schemas.CampaignOut:
    """Nothing is sent before it is started."""
    with tx() as session:

        def act() -> schemas.CampaignOut:
            return views.campaign_out(session, service.draft(session, body, caller.subject))

        return once.run(session, schemas.CampaignOut, act)


@router.get("/campaigns", summary="Calls, the newest first")
def list_campaigns(asked: Annotated[schemas.CampaignQuery, Query()], _: Reader) -> Page[schemas.CampaignSummary]:
    with read() as session:
        return page_of(
            session,
            queries.matching(asked),
            asked,
            schemas.CampaignSummary.model_validate,
            sort=asked.sort,
            orders=queries.SORTABLE,
            key=Campaign.id,
        )


@router.get("/campaigns/{campaign_id}", summary="One call and how far it is")
def read_campaign(campaign_id: UUID, _: Reader, response: Response) -> schemas.CampaignOut:
    with read() as session:
        campaign = _found(queries.one(session, campaign_id))
        response.headers["ETag"] = etag(campaign)
        return views.campaign_out(session, campaign)


@router.put("/campaigns/{campaign_id}", summary="Change a draft")
def change_campaign(
    campaign_id: UUID, body: schemas.CampaignIn, _: Caller, response: Response, if_match: IfMatch = None
) -> schemas.CampaignOut:
    """409 once it has begun."""
    with tx() as session:
        campaign = _found(queries.one(session, campaign_id, lock=True))
        check_match(if_match, campaign)
        service.change(session, campaign, body)
        response.headers["ETag"] = etag(campaign)
        return views.campaign_out(session, campaign)


@router.get("/campaigns/{campaign_id}/dry-run", summary="What would be sent, and to how many not, and why")
def try_campaign(campaign_id: UUID, _: Caller) -> schemas.DryRunOut:
    """With the first letters, without addresses. Nothing is sent or changed."""
    with read() as session:
        return views.dry_run(session, _found(queries.one(session, campaign_id)))


@router.post("/campaigns/{campaign_id}/start", summary="Send it")
def start_campaign(campaign_id: UUID, once: IdempotencyKey, _: Caller) -> schemas.CampaignOut:
    """To the organizations that the segment has then. Each gets one message, whatever happens on the way."""
    return _acted(campaign_id, "start", once)


@router.post("/campaigns/{campaign_id}/pause", summary="Hold what was not sent yet")
def pause_campaign(campaign_id: UUID, once: IdempotencyKey, _: Caller) -> schemas.CampaignOut:
    return _acted(campaign_id, "pause", once)


@router.post("/campaigns/{campaign_id}/resume", summary="Go on")
def resume_campaign(campaign_id: UUID, once: IdempotencyKey, _: Caller) -> schemas.CampaignOut:
    return _acted(campaign_id, "resume", once)


@router.post("/campaigns/{campaign_id}/cancel", summary="Send nothing more of it")
def cancel_campaign(campaign_id: UUID, once: IdempotencyKey, _: Caller) -> schemas.CampaignOut:
    """For good. What waits is cancelled within seconds; what was sent stays sent."""
    return _acted(campaign_id, "cancel", once)


def _acted(campaign_id: UUID, what: service.Act, once: IdempotencyKey) -> schemas.CampaignOut:
    with tx() as session:

        def act() -> schemas.CampaignOut:
            campaign = _found(queries.one(session, campaign_id, lock=True))
            service.act(session, campaign, what)
            return views.campaign_out(session, campaign)

        return once.run(session, schemas.CampaignOut, act)


def _found(campaign: Campaign | None) -> Campaign:
    if campaign is None:
        raise NotFound
    return campaign
