"""The environment variables of this service. Nothing else in it reads the environment."""

from functools import cache
from importlib.resources import files
from pathlib import Path

from pydantic_settings import SettingsConfigDict

from tejido_projects.stages import StageTable, read
from tejido_shared.jurisdiction import Jurisdiction, load
from tejido_shared.settings import ServiceSettings


class ProjectsSettings(ServiceSettings):
    """`PROJECTS_…`, and `TEJIDO_…` in `common`."""

    model_config = SettingsConfigDict(env_prefix="PROJECTS_", extra="ignore")


@cache
def settings() -> ProjectsSettings:
    return ProjectsSettings()


@cache
def jurisdiction() -> Jurisdiction:
    """The municipality's pack. Raises `JurisdictionError` naming file, line or key and reason."""
    path: Path = settings().common.jurisdiction
    return load(path)


@cache
def stages() -> StageTable:
    """The stages of a project. Raises `JurisdictionError` with every fault of the table."""
    return read(files("tejido_projects").joinpath("stages.toml").read_text("utf-8"))
