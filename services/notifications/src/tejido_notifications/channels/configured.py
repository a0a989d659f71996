"""The channels this municipality has, by what its settings name."""

from functools import cache

from tejido_notifications.channels import Channel
from tejido_notifications.channels.email import EmailChannel
from tejido_notifications.channels.in_app import InAppChannel
from tejido_notifications.channels.relayed import RelayedChannel
from tejido_notifications.channels.web_push import WebPushChannel
from tejido_notifications.channels.webhook import WebhookChannel
from tejido_notifications.settings import settings


@cache
def channels() -> dict[str, Channel]:
    """By name. `email`, `in_app` and `webhook` are always there; `web_push` with a key; others as `NOTIFICATIONS_RELAYED` names them."""
    asked = settings()
    found: dict[str, Channel] = {
        "email": EmailChannel(asked),
        "in_app": InAppChannel(),
        "webhook": WebhookChannel(asked),
    }
    if asked.web_push_key.get_secret_value():
        found["web_push"] = WebPushChannel(asked)
    for name, url in asked.relayed.items():
        found[name] = RelayedChannel(name, url.get_secret_value(), asked)
    return found
