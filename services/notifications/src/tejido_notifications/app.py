"""The HTTP application of the notifications service."""

from importlib.metadata import version

from fastapi import FastAPI

from tejido_notifications import routes
from tejido_notifications.db import database
from tejido_notifications.settings import jurisdiction, settings
from tejido_shared.api import create_api


def create_app() -> FastAPI:
    return create_api(
        "notifications",
        title="Tejido: notificaciones",
        description="Avisa por correo lo que ocurrió, una sola vez, y guarda cada intento y la prueba de la entrega.",
        version=version("tejido-notifications"),
        routers=[routes.router],
        settings=settings(),
        database=database,
        jurisdiction=jurisdiction(),
    )
