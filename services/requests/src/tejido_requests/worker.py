"""What `celery -A tejido_requests.worker` runs."""

from tejido_requests.attachments import tasks as attachments
from tejido_requests.audit import tasks as audit
from tejido_requests.calendars import tasks as calendars
from tejido_requests.clocks import tasks as clocks
from tejido_requests.db import database
from tejido_requests.events import HANDLERS
from tejido_requests.settings import settings
from tejido_shared.worker import kick, make_worker

ANNOUNCE = "requests.announce"
SEAL = "requests.seal"
SCAN_FILES = "requests.scan_files"
SWEEP_FILES = "requests.sweep_files"
REDATE = "requests.redate"
TIMETABLE = {REDATE: 3.0, ANNOUNCE: 5.0, SEAL: 5.0, SCAN_FILES: 60.0, SWEEP_FILES: 3600.0}
"""Seconds between two runs of a task."""

app = make_worker("requests", database, settings(), HANDLERS, TIMETABLE)


@app.task(name=ANNOUNCE, shared=False)
def announce() -> None:
    clocks.announce(lambda: kick(app, ANNOUNCE, "requests"))


@app.task(name=SCAN_FILES, shared=False)
def scan_files() -> None:
    attachments.scan()


@app.task(name=SWEEP_FILES, shared=False)
def sweep_files() -> None:
    attachments.sweep()


@app.task(name=SEAL, shared=False)
def seal() -> None:
    audit.seal()


@app.task(name=REDATE, shared=False)
def redate() -> None:
    calendars.look_at_pack()
    calendars.redate()
