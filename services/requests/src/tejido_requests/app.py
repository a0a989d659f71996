"""The HTTP application of the requests service."""

from importlib.metadata import version

from fastapi import FastAPI

from tejido_requests import routes
from tejido_requests.db import database
from tejido_requests.settings import jurisdiction, settings
from tejido_shared.api import create_api


def create_app() -> FastAPI:
    return create_api(
        "requests",
        title="Tejido: solicitudes ciudadanas",
        description=(
            "Recibe solicitudes escritas y verbales, cuenta el término legal día por día y registra la respuesta notificada."
        ),
        version=version("tejido-requests"),
        routers=[routes.router],
        settings=settings(),
        database=database,
        jurisdiction=jurisdiction(),
    )
