"""The environment variables of this service. Nothing else in it reads the environment."""

from functools import cache
from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from tejido_shared.jurisdiction import Jurisdiction, load
from tejido_shared.settings import ServiceSettings

PACKAGE = "tejido_requests"
"""Whose catalogue holds this service's texts."""


class RequestsSettings(ServiceSettings):
    """`REQUESTS_…`, and `TEJIDO_…` in `common`."""

    model_config = SettingsConfigDict(env_prefix="REQUESTS_", extra="ignore")

    largest_attachment: int = Field(25, gt=0, description="Megabytes of the largest document that may be attached")
    attachments_per_request: int = Field(
        20, gt=0, description="Most documents a request takes from the citizen, and as many from the desk"
    )


@cache
def settings() -> RequestsSettings:
    return RequestsSettings()


@cache
def jurisdiction() -> Jurisdiction:
    """The municipality's pack. Raises `JurisdictionError` naming file, line or key and reason."""
    path: Path = settings().common.jurisdiction
    return load(path)
