"""HTTP only: parse, call one use case, return the model."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from tejido_notifications.db import read
from tejido_notifications.figures import schemas, service
from tejido_shared.auth import Principal, require
from tejido_shared.jurisdiction import Role

router = APIRouter(prefix="/v1", tags=["figures"])

Reader = Annotated[Principal, Depends(require(Role.HEAD, Role.AUDITOR))]


@router.get("/figures", summary="What waits now, and what a period brought")
def read_figures(asked: Annotated[schemas.PeriodQuery, Query()], _: Reader) -> schemas.FiguresOut:
    """By channel and category. A period has 92 days at most."""
    with read() as session:
        return service.figures(session, asked)
