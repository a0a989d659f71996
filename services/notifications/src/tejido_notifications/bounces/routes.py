"""HTTP only: check the signature, parse, call one use case."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Request
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tejido_notifications.bounces import schemas, service
from tejido_notifications.bounces.reports import Report
from tejido_notifications.db import tx
from tejido_notifications.settings import settings
from tejido_shared.auth import Anybody
from tejido_shared.refusals import NotForThem, Refused

router = APIRouter(prefix="/v1", tags=["bounces"])


async def _signed(request: Request) -> None:
    """Lets nobody in but who signs with our secret (Standard Webhooks), within five minutes."""
    secret = settings().bounce_secret.get_secret_value()
    try:
        if not secret:
            raise ValueError("no secret, no reports")
        Webhook(secret).verify(await request.body(), dict(request.headers), json_parse=False)
    except (WebhookVerificationError, ValueError, RuntimeError):  # ValueError: a signature that is not even one
        raise NotForThem("bounce_unsigned") from None


@router.post("/bounces", summary="What a mail provider knows of our messages", dependencies=[Depends(_signed)])
def take_bounces(
    body: Annotated[list[schemas.BounceIn], Body(min_length=1, max_length=500)], _: Anybody
) -> schemas.BouncesOut:
    """Signed as Standard Webhooks: headers `webhook-id`, `webhook-timestamp`, `webhook-signature`. Told again, it changes nothing."""
    for index, one in enumerate(body):
        if one.message_id is None and one.recipient is None:
            raise Refused("bounce_of_nothing", f"body.{index}")
    with tx() as session:
        # In one order, so that two calls at once do not wait for each other's rows.
        told = sorted((_report(one) for one in body), key=lambda one: (str(one.delivery_id), one.recipient or ""))
        return schemas.BouncesOut(handled=sum(service.report(session, one) for one in told))


def _report(one: schemas.BounceIn) -> Report:
    delivery_id = service.message_id(one.message_id) if one.message_id else None
    return Report(delivery_id, one.recipient, one.kind, one.reason)
