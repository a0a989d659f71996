"""What `celery -A tejido_projects.worker` runs."""

from tejido_projects.db import database
from tejido_projects.events import HANDLERS
from tejido_projects.settings import settings
from tejido_shared.worker import make_worker

app = make_worker("projects", database, settings(), HANDLERS)
