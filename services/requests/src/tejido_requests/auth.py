"""Who may call what, as dependencies of routes. Which requests they then see is `search.queries.visible_to`."""

from typing import Annotated

from fastapi import Depends

from tejido_shared.auth import Principal, require
from tejido_shared.jurisdiction import Role

Officer = Annotated[Principal, Depends(require(Role.OFFICER, Role.HEAD))]
Head = Annotated[Principal, Depends(require(Role.HEAD))]
Reader = Annotated[Principal, Depends(require(Role.OFFICER, Role.HEAD, Role.AUDITOR))]
