"""The environment variables of this service. Nothing else in it reads the environment."""

from functools import cache
from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from tejido_shared.jurisdiction import Jurisdiction, load, parse_receipt_number, receipt_number
from tejido_shared.settings import ServiceSettings


class RegistrySettings(ServiceSettings):
    """`REGISTRY_…`, and `TEJIDO_…` in `common`."""

    model_config = SettingsConfigDict(env_prefix="REGISTRY_", extra="ignore")

    number_pattern: str = Field(
        "ORG-{year}-{sequence:05d}-{check}",
        description="How an organization's own number is written; as a jurisdiction's receipt_pattern",
    )
    import_megabytes: int = Field(10, gt=0, description="Largest file POST /v1/imports takes")
    import_rows: int = Field(20_000, gt=0, description="Most rows POST /v1/imports takes; the command takes any number")

    @field_validator("number_pattern")
    @classmethod
    def _can_be_read_back(cls, pattern: str) -> str:
        try:
            parse_receipt_number(pattern, receipt_number(pattern, 2026, 1))
        except (KeyError, IndexError):
            raise ValueError("must hold {year}, {sequence:05d} and, at its end, {check}") from None
        return pattern


@cache
def settings() -> RegistrySettings:
    return RegistrySettings()


@cache
def jurisdiction() -> Jurisdiction:
    """The municipality's pack. Raises `JurisdictionError` naming file, line or key and reason."""
    path: Path = settings().common.jurisdiction
    return load(path)
