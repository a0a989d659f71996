"""`python -m tejido_registry migrate | relay | openapi | dead-letters … | import FILE …`."""

import sys

from tejido_registry import commands
from tejido_registry.app import create_app
from tejido_registry.db import database
from tejido_registry.events import HANDLERS
from tejido_registry.settings import settings
from tejido_shared.manage import main

if __name__ == "__main__":
    sys.exit(
        main(
            "registry",
            settings=settings,
            database=database,
            handlers=HANDLERS,
            create_app=create_app,
            extra=commands.add,
        )
    )
