"""`python -m tejido_requests migrate | relay | openapi | dead-letters …`."""

import sys

from tejido_requests.app import create_app
from tejido_requests.db import database
from tejido_requests.events import HANDLERS
from tejido_requests.settings import settings
from tejido_shared.manage import main

if __name__ == "__main__":
    sys.exit(main("requests", settings=settings, database=database, handlers=HANDLERS, create_app=create_app))
