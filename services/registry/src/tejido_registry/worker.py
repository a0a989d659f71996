"""What `celery -A tejido_registry.worker` runs."""

from tejido_registry.db import database
from tejido_registry.documents import tasks as documents
from tejido_registry.duplicates import tasks as duplicates
from tejido_registry.events import HANDLERS
from tejido_registry.imports import tasks as imports
from tejido_registry.renewal import tasks as renewal
from tejido_registry.settings import settings
from tejido_shared.worker import kick, make_worker

TIMETABLE = {**duplicates.TIMETABLE, **documents.TIMETABLE, **imports.TIMETABLE, **renewal.TIMETABLE}
app = make_worker("registry", database, settings(), HANDLERS, TIMETABLE)


@app.task(name=imports.ADVANCE, shared=False, time_limit=900, soft_time_limit=870)
def advance_imports() -> None:
    if imports.advance():
        kick(app, imports.ADVANCE, "registry")


@app.task(name=imports.SWEEP, shared=False)
def sweep_imports() -> None:
    imports.sweep()


@app.task(name=renewal.TURN, shared=False)
def turn_calendar() -> None:
    if renewal.turn():
        kick(app, renewal.TURN, "registry")


@app.task(name=documents.SCAN, shared=False)
def scan_documents() -> None:
    documents.scan()


@app.task(name=documents.SWEEP, shared=False)
def sweep_documents() -> None:
    documents.sweep()


@app.task(name=duplicates.COMPARE, shared=False)
def compare_organizations() -> None:
    if duplicates.compare():
        kick(app, duplicates.COMPARE, "registry")
