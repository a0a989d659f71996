"""What `celery -A tejido_notifications.worker` runs."""

from sqlalchemy import event
from sqlalchemy.orm import Session

from tejido_notifications import tasks
from tejido_notifications.db import database
from tejido_notifications.events import HANDLERS
from tejido_notifications.settings import settings
from tejido_shared.worker import kick, make_worker

app = make_worker("notifications", database, settings(), HANDLERS, tasks.TIMETABLE)


@app.task(name=tasks.SEND_DUE, shared=False)
def send_due() -> None:
    if tasks.send_due():
        kick(app, tasks.SEND_DUE, "notifications")


@event.listens_for(Session, "after_commit")
def _send_soon(session: Session) -> None:
    """A message that was queued is sent now, not at the next tick of the timetable."""
    if session.info.pop("queued", False):
        kick(app, tasks.SEND_DUE, "notifications")
