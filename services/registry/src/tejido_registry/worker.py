"""What `celery -A tejido_registry.worker` runs."""

from tejido_registry.db import database
from tejido_registry.events import HANDLERS
from tejido_registry.settings import settings
from tejido_shared.worker import make_worker

app = make_worker("registry", database, settings(), HANDLERS)
