"""The HTTP application of the notifications service."""

from importlib.metadata import version

from fastapi import FastAPI

from tejido_notifications.bounces import routes as bounces
from tejido_notifications.campaigns import routes as campaigns
from tejido_notifications.contacts import routes as contacts
from tejido_notifications.db import database
from tejido_notifications.delivery import routes as delivery
from tejido_notifications.figures import routes as figures
from tejido_notifications.figures.metrics import Figures
from tejido_notifications.in_app import routes as in_app
from tejido_notifications.letters import routes as letters
from tejido_notifications.proof import routes as proof
from tejido_notifications.settings import jurisdiction, settings
from tejido_notifications.webhooks import routes as webhooks
from tejido_shared.api import create_api


def create_app() -> FastAPI:
    return create_api(
        "notifications",
        title="Tejido: notificaciones",
        description="Avisa por correo lo que ocurrió, una sola vez, y guarda cada intento y la prueba de la entrega.",
        version=version("tejido-notifications"),
        routers=[
            delivery.router,
            letters.router,
            contacts.router,
            in_app.router,
            bounces.router,
            webhooks.router,
            campaigns.router,
            figures.router,
            proof.router,
        ],
        settings=settings(),
        database=database,
        jurisdiction=jurisdiction(),
        collectors=[Figures()],
    )
