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
    application_pattern: str = Field("TRA-{year}-{sequence:06d}-{check}", description="The same, of an application")
    certificate_pattern: str = Field("CON-{year}-{sequence:06d}-{check}", description="The same, of a certificate")
    drafts_per_person: int = Field(10, gt=0, description="Most drafts of organizations that one person may have begun")
    largest_document: int = Field(25, gt=0, description="Megabytes of the largest document an organization hands in")
    documents_per_organization: int = Field(200, gt=0, description="Most documents an organization hands in")
    import_megabytes: int = Field(10, gt=0, description="Largest file POST /v1/imports takes")
    import_rows: int = Field(20_000, gt=0, description="Most rows POST /v1/imports takes; the command takes any number")
    import_job_megabytes: int = Field(50, gt=0, description="Largest file POST /v1/import-jobs takes")
    import_job_rows: int = Field(200_000, gt=0, description="Most rows POST /v1/import-jobs takes")

    neighborhood_meters: int = Field(
        500, ge=0, description="How far from a barrio's point an organization may be and still be in that barrio"
    )

    @property
    def patterns(self) -> dict[str, str]:
        """How numbers are written, by series."""
        return {
            "organization": self.number_pattern,
            "application": self.application_pattern,
            "certificate": self.certificate_pattern,
        }

    @field_validator("number_pattern", "application_pattern", "certificate_pattern")
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
