"""The live figures for Prometheus: read from the database when it asks, so every process of the API says the same."""

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.orm import Session

from tejido_notifications.db import read
from tejido_notifications.figures import queries, service
from tejido_shared.clock import now

_KIND = ["channel", "category"]
_QUANTILES = ("0.5", "0.95", "0.99")


class Figures(Collector):
    """`notifications_…`: what waits, and what the last five minutes brought. Labels hold no personal data."""

    def collect(self) -> Iterator[Metric]:
        with read() as session:
            yield from _metrics(session)


def _metrics(session: Session) -> Iterator[Metric]:
    at = now()
    recently = at - queries.RECENT
    live = service.waiting(session, at)
    for name, meaning, field in (
        ("waiting", "Messages still to be sent", "waiting"),
        ("due", "Messages that could go out now", "due"),
        ("oldest_due_seconds", "How long the message that is due longest has been due", "oldest_due_seconds"),
        ("delivered_per_minute", "Delivered a minute, over the last five", "per_minute"),
    ):
        gauge = GaugeMetricFamily(f"notifications_{name}", meaning, labels=_KIND)
        for one in live:
            gauge.add_metric([one.channel, one.category], getattr(one, field))
        yield gauge

    meaning = "From what happened, or from when it was to be sent, to the delivery: of the last five minutes"
    gauge = GaugeMetricFamily("notifications_delivery_seconds", meaning, labels=[*_KIND, "quantile"])
    for row in queries.delivered(session, recently, at):
        for quantile, seconds in zip(_QUANTILES, row.seconds, strict=True):
            gauge.add_metric([row.channel, row.category, quantile], seconds)
    yield gauge

    gauge = GaugeMetricFamily("notifications_attempts", "Attempts of the last five minutes", labels=[*_KIND, "outcome"])
    for row in queries.attempts(session, recently, at):
        gauge.add_metric([row.channel, row.category, row.outcome], row.attempts)
    yield gauge

    meaning = "Attempts of the last five minutes that failed, for good or for now, by kind of failure"
    gauge = GaugeMetricFamily("notifications_failures", meaning, labels=[*_KIND, "code"])
    for row in queries.failures(session, recently, at):
        gauge.add_metric([row.channel, row.category, row.code], row.failures)
    yield gauge

    gauge = GaugeMetricFamily("notifications_bounced", "Came back in the last five minutes", labels=_KIND)
    for row in queries.bounced(session, recently, at):
        gauge.add_metric([row.channel, row.category], row.bounced)
    yield gauge

    meaning = "Systems that are told of events and do not answer now"
    yield GaugeMetricFamily(
        "notifications_failing_subscriptions", meaning, value=queries.failing_subscriptions(session)
    )
