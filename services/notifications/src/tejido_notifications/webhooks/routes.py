"""HTTP only: parse, call one use case, return the model."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.orm import Session

from tejido_notifications.db import read, tx
from tejido_notifications.models import Attempt, Subscription
from tejido_notifications.webhooks import queries, schemas, service, views
from tejido_shared.api import IfMatch, check_match, etag
from tejido_shared.auth import Principal, require
from tejido_shared.idempotency import IdempotencyKey
from tejido_shared.jurisdiction import Role
from tejido_shared.pages import Page, page_of
from tejido_shared.problems import NotFound

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])

Administrator = Annotated[Principal, Depends(require(Role.ADMINISTRATOR))]
ONE = "/{subscription_id}"


@router.post("", summary="Tell another system of events", status_code=201)
def create_subscription(
    body: schemas.SubscriptionIn, once: IdempotencyKey, caller: Administrator
) -> schemas.SubscriptionWithSecret:
    """By signed calls as Standard Webhooks describes: see docs/webhooks.md. The secret is shown this once."""
    with tx() as session:

        def act() -> schemas.SubscriptionWithSecret:
            subscription = service.subscribe(session, **body.model_dump(), created_by=caller.subject)
            return views.with_secret(session, subscription, subscription.secret)

        return once.run(session, schemas.SubscriptionWithSecret, act)


@router.get("", summary="Which systems are told")
def list_subscriptions(
    asked: Annotated[schemas.SubscriptionQuery, Query()], _: Administrator
) -> Page[schemas.SubscriptionSummary]:
    with read() as session:
        return page_of(
            session,
            queries.all_of_them(),
            asked,
            views.summary,
            sort=asked.sort,
            orders=queries.SORTABLE,
            key=Subscription.id,
        )


@router.get(ONE, summary="One subscription and how it goes")
def read_subscription(subscription_id: UUID, _: Administrator, response: Response) -> schemas.SubscriptionOut:
    with read() as session:
        subscription = _found(session, subscription_id)
        response.headers["ETag"] = etag(subscription)
        return views.whole(session, subscription)


@router.patch(ONE, summary="Change, pause or start a subscription")
def change_subscription(
    subscription_id: UUID,
    body: schemas.SubscriptionPatch,
    _: Administrator,
    response: Response,
    if_match: IfMatch = None,
) -> schemas.SubscriptionOut:
    """One that is started or gets another address is tried at once. What happened while it was not active is not sent: replay it."""
    changes = {name: value for name, value in body.model_dump(exclude_unset=True).items() if value is not None}
    with tx() as session:
        subscription = _found(session, subscription_id, lock=True)
        check_match(if_match, subscription)
        service.change(session, subscription, changes)
        response.headers["ETag"] = etag(subscription)
        return views.whole(session, subscription)


@router.delete(ONE, status_code=204, summary="Tell a system no more")
def delete_subscription(subscription_id: UUID, _: Administrator, if_match: IfMatch = None) -> None:
    """What still waited for it is cancelled."""
    with tx() as session:
        subscription = _found(session, subscription_id, lock=True)
        check_match(if_match, subscription)
        service.unsubscribe(session, subscription)


@router.post(ONE + "/secret", summary="Change the secret")
def rotate_secret(
    subscription_id: UUID, body: schemas.SecretIn, once: IdempotencyKey, _: Administrator
) -> schemas.SubscriptionWithSecret:
    """The one before signs too for 24 hours: time enough to tell the other system. The new one is shown this once."""
    with tx() as session:

        def act() -> schemas.SubscriptionWithSecret:
            subscription = _found(session, subscription_id, lock=True)
            return views.with_secret(session, subscription, service.rotate(session, subscription, body.secret))

        return once.run(session, schemas.SubscriptionWithSecret, act)


@router.post(ONE + "/test", summary="Make a call that tells of nothing", status_code=202)
def send_test(subscription_id: UUID, once: IdempotencyKey, _: Administrator) -> schemas.TestOut:
    """Of type `tejido.test`, whatever is subscribed; at once, even if the system rests after a failure."""
    with tx() as session:

        def act() -> schemas.TestOut:
            return schemas.TestOut(event_id=service.send_test(session, _found(session, subscription_id, lock=True)))

        return once.run(session, schemas.TestOut, act)


@router.get(ONE + "/attempts", summary="The calls made, the newest first")
def list_attempts(
    subscription_id: UUID, asked: Annotated[schemas.AttemptQuery, Query()], _: Administrator
) -> Page[schemas.AttemptOut]:
    with read() as session:
        _found(session, subscription_id)
        return page_of(
            session,
            queries.calls(subscription_id, asked.outcome),
            asked,
            views.call,
            sort=asked.sort,
            orders={"at": Attempt.at},
            key=Attempt.id,
        )


@router.post(ONE + "/replays", summary="Tell again what happened in a period", status_code=202)
def replay(subscription_id: UUID, body: schemas.ReplayIn, once: IdempotencyKey, _: Administrator) -> schemas.ReplayOut:
    """For a system that was away or lost something. Every event keeps its `webhook-id`, by which a receiver knows what it has already."""
    with tx() as session:

        def act() -> schemas.ReplayOut:
            done = service.replay(session, _found(session, subscription_id), body.since, body.until, body.events)
            return schemas.ReplayOut.model_validate(done._asdict())

        return once.run(session, schemas.ReplayOut, act)


def _found(session: Session, subscription_id: UUID, *, lock: bool = False) -> Subscription:
    subscription = queries.one(session, subscription_id, lock=lock)
    if subscription is None:
        raise NotFound
    return subscription
