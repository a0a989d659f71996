"""The HTTP application of the projects service."""

from importlib.metadata import version

from fastapi import FastAPI

from tejido_projects import routes
from tejido_projects.db import database
from tejido_projects.settings import jurisdiction, settings
from tejido_shared.api import create_api


def create_app() -> FastAPI:
    return create_api(
        "projects",
        title="Tejido: proyectos comunitarios",
        description=(
            "El inventario de los proyectos que presentan las organizaciones: cada uno con su etapa, sus días en ella, "
            "su historia y su próximo paso."
        ),
        version=version("tejido-projects"),
        routers=[routes.router],
        settings=settings(),
        database=database,
        jurisdiction=jurisdiction(),
    )
