"""`python -m tejido_projects migrate | relay | openapi | dead-letters …`."""

import sys

from tejido_projects.app import create_app
from tejido_projects.db import database
from tejido_projects.events import HANDLERS
from tejido_projects.settings import settings
from tejido_shared.manage import main

if __name__ == "__main__":
    sys.exit(main("projects", settings=settings, database=database, handlers=HANDLERS, create_app=create_app))
