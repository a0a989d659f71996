"""The worker sends what it has just committed, without waiting for its timetable."""

from tejido_notifications.settings import settings
from tejido_shared.db import Database
from tejido_shared.testing import TownInOneProcess

from .conftest import MailServer, file_request


def test_from_the_filing_to_the_mail_without_a_timetable(
    databases: dict[str, Database], mail_server: MailServer
) -> None:
    from tejido_notifications.worker import app as notifications
    from tejido_requests.worker import app as requests

    town = TownInOneProcess({"requests": requests, "notifications": notifications}, databases, settings().common)
    request, _ = file_request(databases)
    town.until_quiet()
    assert [request.number in message["Subject"] for message in mail_server.received] == [True]
