"""`python -m tejido_notifications migrate | relay | openapi | dead-letters … | proofs verify`."""

import sys

from tejido_notifications.app import create_app
from tejido_notifications.db import database
from tejido_notifications.events import HANDLERS
from tejido_notifications.proof import commands as proof
from tejido_notifications.settings import settings
from tejido_shared.manage import main

if __name__ == "__main__":
    sys.exit(
        main(
            "notifications",
            settings=settings,
            database=database,
            handlers=HANDLERS,
            create_app=create_app,
            extra=proof.add,
        )
    )
