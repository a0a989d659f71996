"""Alembic runs this for every command."""

from tejido_projects.models import Base
from tejido_shared.migrations import run

run(Base.metadata)
