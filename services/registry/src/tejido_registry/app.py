"""The HTTP application of the registry service."""

from importlib.metadata import version

from fastapi import FastAPI

from tejido_registry import routes
from tejido_registry.certificates import page as certificate_page
from tejido_registry.certificates import routes as certificates
from tejido_registry.db import database
from tejido_registry.directory import routes as directory
from tejido_registry.documents import routes as documents
from tejido_registry.duplicates import routes as duplicates
from tejido_registry.imports import routes as imports
from tejido_registry.mandates import routes as mandates
from tejido_registry.merges import routes as merges
from tejido_registry.procedure import routes as procedure
from tejido_registry.quality import routes as quality
from tejido_registry.quality.metrics import Quality
from tejido_registry.settings import jurisdiction, settings
from tejido_registry.standing import routes as standing
from tejido_registry.surveys import routes as surveys
from tejido_registry.territories import routes as territories
from tejido_registry.verifications import routes as verifications
from tejido_shared.api import create_api

FORM_BYTES = 150_000
"""What a form may hold beside its file."""


def create_app() -> FastAPI:
    return create_api(
        "registry",
        title="Tejido: registro de organizaciones",
        description="El registro municipal de organizaciones comunitarias: alta, edición, búsqueda e importación.",
        version=version("tejido-registry"),
        routers=[
            routes.router,
            procedure.router,
            documents.router,
            imports.router,
            duplicates.router,
            merges.router,
            territories.router,
            quality.router,
            mandates.router,
            standing.router,
            surveys.router,
            verifications.router,
            directory.router,
            certificates.router,
            certificate_page.router,
        ],
        settings=settings(),
        database=database,
        jurisdiction=jurisdiction(),
        collectors=[Quality()],
        largest_body=settings().import_megabytes * 1_000_000,
        larger={
            "/v1/import-jobs": settings().import_job_megabytes * 1_000_000,
            "/documents": settings().largest_document * 1_000_000 + FORM_BYTES,
        },
    )
