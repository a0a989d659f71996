"""The environment variables of this service. Nothing else in it reads the environment."""

from functools import cache
from pathlib import Path

from pydantic_settings import SettingsConfigDict

from tejido_shared.jurisdiction import Jurisdiction, load
from tejido_shared.settings import ServiceSettings


class RequestsSettings(ServiceSettings):
    """`REQUESTS_…`, and `TEJIDO_…` in `common`."""

    model_config = SettingsConfigDict(env_prefix="REQUESTS_", extra="ignore")


@cache
def settings() -> RequestsSettings:
    return RequestsSettings()


@cache
def jurisdiction() -> Jurisdiction:
    """The municipality's pack. Raises `JurisdictionError` naming file, line or key and reason."""
    path: Path = settings().common.jurisdiction
    return load(path)
