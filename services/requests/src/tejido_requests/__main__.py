"""`python -m tejido_requests migrate | relay | openapi | dead-letters … | audit head | audit verify | retention … | reindex`."""

import sys
from typing import Any

from tejido_requests.app import create_app
from tejido_requests.audit import commands as audit
from tejido_requests.db import database
from tejido_requests.events import HANDLERS
from tejido_requests.search import commands as search
from tejido_requests.settings import settings
from tejido_shared.manage import main


def _add(commands: Any) -> None:
    audit.add(commands)
    search.add(commands)


if __name__ == "__main__":
    sys.exit(
        main(
            "requests",
            settings=settings,
            database=database,
            handlers=HANDLERS,
            create_app=create_app,
            extra=_add,
        )
    )
