"""Alembic runs this for every command."""

from tejido_notifications.models import Base
from tejido_shared.migrations import run

run(Base.metadata)
