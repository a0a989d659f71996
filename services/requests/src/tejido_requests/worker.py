"""What `celery -A tejido_requests.worker` runs."""

from tejido_requests import tasks
from tejido_requests.db import database
from tejido_requests.events import HANDLERS
from tejido_requests.settings import settings
from tejido_shared.worker import make_worker

app = make_worker("requests", database, settings(), HANDLERS, tasks.TIMETABLE)


@app.task(name=tasks.SWEEP, shared=False)
def announce_overdue() -> None:
    tasks.announce_overdue()
