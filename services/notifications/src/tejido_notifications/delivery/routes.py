"""HTTP only: parse, call one use case, return the model."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from sqlalchemy.orm import Session

from tejido_notifications.db import read, tx
from tejido_notifications.delivery import queries, schemas, service
from tejido_notifications.models import Delivery
from tejido_shared.auth import Principal, require
from tejido_shared.idempotency import IdempotencyKey
from tejido_shared.jurisdiction import Role
from tejido_shared.pages import Page, page_of
from tejido_shared.problems import NotFound

router = APIRouter(prefix="/v1", tags=["deliveries"])

Reader = Annotated[Principal, Depends(require(Role.HEAD, Role.AUDITOR))]
Administrator = Annotated[Principal, Depends(require(Role.ADMINISTRATOR))]


@router.get("/deliveries", summary="Messages, the newest first")
def list_deliveries(asked: Annotated[schemas.DeliveryQuery, Query()], _: Reader) -> Page[schemas.DeliverySummary]:
    with read() as session:
        return page_of(
            session,
            queries.matching(asked),
            asked,
            schemas.DeliverySummary.model_validate,
            sort=asked.sort,
            orders=queries.SORTABLE,
            key=Delivery.id,
        )


@router.get("/deliveries/{delivery_id}", summary="One message and every attempt at it")
def read_delivery(delivery_id: UUID, _: Reader) -> schemas.DeliveryOut:
    with read() as session:
        return _whole(session, _found(queries.one(session, delivery_id)))


@router.post("/deliveries/{delivery_id}/retry", summary="Send a failed message again")
def retry_delivery(delivery_id: UUID, once: IdempotencyKey, _: Administrator) -> schemas.DeliveryOut:
    """For when its cause was put right: the mail server's settings, a template, a full mailbox. It goes to the same address."""
    with tx() as session:

        def act() -> schemas.DeliveryOut:
            delivery = _found(queries.one(session, delivery_id, lock=True))
            service.retry(session, delivery)
            return _whole(session, delivery)

        return once.run(session, schemas.DeliveryOut, act)


def _found(delivery: Delivery | None) -> Delivery:
    if delivery is None:
        raise NotFound
    return delivery


def _whole(session: Session, delivery: Delivery) -> schemas.DeliveryOut:
    attempts = [schemas.AttemptOut.model_validate(attempt) for attempt in queries.attempts_of(session, delivery.id)]
    return schemas.DeliveryOut(**schemas.DeliverySummary.model_validate(delivery).model_dump(), history=attempts)
