"""This service's database."""

from tejido_registry.settings import settings
from tejido_shared.db import Database

database = Database(settings)
tx = database.tx
read = database.read
