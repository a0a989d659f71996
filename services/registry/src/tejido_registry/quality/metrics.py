"""The board's figures for Prometheus."""

import time
from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from tejido_registry.db import read
from tejido_registry.quality import schemas, service

FRESH = 60.0
"""Seconds that a process answers with what it counted last: counting reads the whole register."""


class Quality(Collector):
    """`registry_…`: organizations in the register, and those behind each figure of the quality board."""

    def __init__(self) -> None:
        self._counted: tuple[float, schemas.BoardOut] | None = None

    def collect(self) -> Iterator[Metric]:
        board = self._board()
        yield GaugeMetricFamily(
            "registry_organizations", "Registered, inactive or suspended", value=board.organizations
        )
        gauge = GaugeMetricFamily("registry_quality", "Organizations behind a figure", labels=["figure"])
        for one in board.figures:
            gauge.add_metric([one.code], one.count)
        yield gauge
        meaning = "Pairs that may be one organization, to be looked at"
        yield GaugeMetricFamily("registry_duplicates_pending", meaning, value=board.duplicates_pending)

    def _board(self) -> schemas.BoardOut:
        if self._counted is None or time.monotonic() - self._counted[0] > FRESH:
            with read() as session:
                self._counted = time.monotonic(), service.board(session)
        return self._counted[1]
