"""What `celery -A tejido_notifications.worker` runs."""

from sqlalchemy import event
from sqlalchemy.orm import Session

from tejido_notifications.bounces import tasks as bounces
from tejido_notifications.campaigns import tasks as campaigns
from tejido_notifications.db import database
from tejido_notifications.delivery import tasks
from tejido_notifications.events import HANDLERS
from tejido_notifications.settings import settings
from tejido_notifications.webhooks import service as webhooks
from tejido_shared.worker import kick, make_worker

FORGET = "notifications.forget"
TIMETABLE = {**tasks.TIMETABLE, **bounces.TIMETABLE, **campaigns.TIMETABLE, FORGET: 3600.0}
app = make_worker("notifications", database, settings(), HANDLERS, TIMETABLE)


@app.task(name=tasks.SEND_DUE, shared=False)
def send_due() -> None:
    if tasks.send_due():
        kick(app, tasks.SEND_DUE, "notifications")


@app.task(name=bounces.READ_MAILBOX, shared=False)
def read_mailbox() -> None:
    bounces.read_mailbox()


@app.task(name=campaigns.ADVANCE, shared=False)
def advance_campaigns() -> None:
    if campaigns.advance():
        kick(app, campaigns.ADVANCE, "notifications")


@app.task(name=FORGET, shared=False)
def forget() -> None:
    with database.tx() as session:
        webhooks.forget_old(session)


@event.listens_for(Session, "after_commit")
def _send_soon(session: Session) -> None:
    """A message that was queued is sent now, not at the next tick of the timetable."""
    if session.info.pop("queued", False):
        kick(app, tasks.SEND_DUE, "notifications")
