"""`python -m tejido_requests reindex`."""

import argparse
from typing import Any
from uuid import UUID

from tejido_requests.db import database
from tejido_requests.search import service

_BATCH = 500


def add(commands: Any) -> None:
    """Adds `reindex` to the service's commands."""
    commands.add_parser("reindex", help="make anew what requests are found by").set_defaults(run=reindex)


def reindex(_: argparse.Namespace) -> int:
    """Batch by batch, beside the desk at work. Prints the last request of each batch; may be stopped and run again."""
    after: UUID | None = None
    while True:
        with database.tx() as session:
            after = service.reindex(session, after, _BATCH)
        if after is None:
            break
        print(after, flush=True)
    database.close()
    return 0
