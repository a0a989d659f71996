"""The worker sends what it has just committed, without waiting for its timetable."""

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
