"""How subscriptions are shown: without secrets, and addresses without their query, where others keep theirs."""

from typing import Any

from httpx2 import URL
from sqlalchemy.orm import Session

from tejido_notifications.models import Subscription
from tejido_notifications.webhooks import queries, schemas
from tejido_shared import i18n

PACKAGE = "tejido_notifications"


def summary(subscription: Subscription) -> schemas.SubscriptionSummary:
    shown = {
        name: getattr(subscription, name)
        for name in schemas.SubscriptionSummary.model_fields
        if name not in ("url", "state")
    }
    url = str(URL(subscription.url).copy_with(query=None, fragment=None))
    return schemas.SubscriptionSummary(**shown, url=url, state=_state(subscription))


def whole(session: Session, subscription: Subscription) -> schemas.SubscriptionOut:
    failure = queries.last_failure(session, subscription.id)
    said = summary(subscription)
    why = None
    if said.state == "stopped":
        gone = failure is not None and failure.code == "gone"
        why = i18n.text(PACKAGE, "webhook.stopped.gone" if gone else "webhook.stopped.failing")
    return schemas.SubscriptionOut(
        **said.model_dump(),
        why=why,
        waiting=queries.waiting(session, subscription.id),
        last_success_at=queries.last_success_at(session, subscription.id),
        last_failure=call(failure) if failure is not None else None,
    )


def with_secret(session: Session, subscription: Subscription, secret: str) -> schemas.SubscriptionWithSecret:
    return schemas.SubscriptionWithSecret(**whole(session, subscription).model_dump(), secret=secret)


def call(row: Any) -> schemas.AttemptOut:
    """Of a row of `queries.calls`."""
    return schemas.AttemptOut.model_validate(row)


def _state(subscription: Subscription) -> schemas.State:
    match subscription.active, subscription.failing_since is not None:
        case True, failing:
            return "failing" if failing else "active"
        case _, failing:
            return "stopped" if failing else "paused"
