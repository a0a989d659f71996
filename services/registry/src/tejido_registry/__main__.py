"""`python -m tejido_registry migrate | relay | openapi | dead-letters … | import FILE … | territories FILE … | locate | reencrypt`."""

import sys
from typing import Any

from tejido_registry import rotation
from tejido_registry.app import create_app
from tejido_registry.db import database
from tejido_registry.events import HANDLERS
from tejido_registry.imports import commands as imports
from tejido_registry.settings import settings
from tejido_registry.territories import commands as territories
from tejido_shared.manage import main


def _add(commands: Any) -> None:
    for feature in (imports, territories, rotation):
        feature.add(commands)


if __name__ == "__main__":
    sys.exit(
        main(
            "registry",
            settings=settings,
            database=database,
            handlers=HANDLERS,
            create_app=create_app,
            extra=_add,
        )
    )
