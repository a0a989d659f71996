"""The worker sends what it has just committed, without waiting for its timetable."""

import re
from itertools import chain

from tejido_local.paths import ROOT
from tejido_local.processes import workers_of
from tejido_shared.db import Database
from tejido_shared.testing import TownInOneProcess

from .conftest import NUMBER, MailServer, deliver_event, filed


def test_from_the_event_to_the_mail_without_a_timetable(
    databases: dict[str, Database], mail_server: MailServer
) -> None:
    from tejido_notifications.worker import app

    deliver_event(databases, filed())
    assert mail_server.received == []
    TownInOneProcess._drain(app)
    assert [NUMBER in message["Subject"] for message in mail_server.received] == [True]


def test_every_queue_has_its_worker_and_events_one_that_sends_nothing() -> None:
    from tejido_notifications.worker import app

    compose = re.findall(
        r"tejido_notifications\.worker worker .*\n? *--queues (\S+)", (ROOT / "docker-compose.yml").read_text()
    )
    for taken in (compose, [options[1] for options in workers_of("notifications").values()]):
        queues = [names.split(",") for names in taken]
        assert sorted(chain(*queues)) == sorted(queue.name for queue in app.conf.task_queues)
        assert not any({"notifications.events", "notifications.work"} <= set(names) for names in queues)
