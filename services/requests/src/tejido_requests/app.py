"""The HTTP application of the requests service."""

from importlib.metadata import version

from fastapi import FastAPI

from tejido_requests.attachments import routes as attachments
from tejido_requests.audit import routes as audit
from tejido_requests.calendars import routes as calendars
from tejido_requests.clocks import routes as clocks
from tejido_requests.db import database
from tejido_requests.desk import routes as desk
from tejido_requests.intake import routes as intake
from tejido_requests.open311 import routes as open311
from tejido_requests.reports import routes as reports
from tejido_requests.search import routes as search
from tejido_requests.settings import jurisdiction, settings
from tejido_requests.tracking import page
from tejido_requests.tracking import routes as tracking
from tejido_requests.work import routes as work
from tejido_shared.api import create_api

FORM_BYTES = 150_000
"""What a form may hold beside its file."""
BATCH_BYTES = 5_000_000


def create_app() -> FastAPI:
    return create_api(
        "requests",
        title="Tejido: solicitudes ciudadanas",
        description=(
            "Recibe solicitudes escritas y verbales, cuenta el término legal día por día y registra la respuesta notificada."
        ),
        version=version("tejido-requests"),
        routers=[
            intake.router,
            clocks.router,
            search.router,
            desk.router,
            work.router,
            audit.router,
            tracking.router,
            page.router,
            attachments.router,
            calendars.router,
            open311.router,
            reports.router,
        ],
        settings=settings(),
        database=database,
        jurisdiction=jurisdiction(),
        larger={
            "/attachments": settings().largest_attachment * 1_000_000 + FORM_BYTES,
            "/completar": page.FILES_AT_ONCE * settings().largest_attachment * 1_000_000 + FORM_BYTES,
            "/service-requests/batch": BATCH_BYTES,
        },
    )
