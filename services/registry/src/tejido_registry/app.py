"""The HTTP application of the registry service."""

from importlib.metadata import version

from fastapi import FastAPI

from tejido_registry import routes
from tejido_registry.db import database
from tejido_registry.settings import jurisdiction, settings
from tejido_shared.api import create_api


def create_app() -> FastAPI:
    return create_api(
        "registry",
        title="Tejido: registro de organizaciones",
        description="El registro municipal de organizaciones comunitarias: alta, edición, búsqueda e importación.",
        version=version("tejido-registry"),
        routers=[routes.router],
        settings=settings(),
        database=database,
        jurisdiction=jurisdiction(),
        largest_body=settings().import_megabytes * 1_000_000,
    )
