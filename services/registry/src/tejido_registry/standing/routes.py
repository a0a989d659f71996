"""HTTP only: parse, call one use case, return the model."""

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from tejido_registry import queries as organizations
from tejido_registry.db import tx
from tejido_registry.standing import schemas, service, views
from tejido_shared.auth import Anybody
from tejido_shared.fields import Line
from tejido_shared.problems import NotFound

router = APIRouter(prefix="/v1/organizations/{organization_id}", tags=["standing"])


@router.get("/standing", summary="What it may do on a day, and if not, why")
def read_standing(
    organization_id: UUID,
    caller: Anybody,
    purpose: Annotated[Line | None, Query(description="apply, sign …; all if left out")] = None,
    on: Annotated[
        date | None, Query(ge=date(2000, 1, 1), le=date(2100, 12, 31), description="Today if left out")
    ] = None,
) -> schemas.StandingsOut:
    """Mandates, documents, verifications and filings are judged as of that day; registration and legal situation as they are now."""
    with tx() as session:
        organization = organizations.one(session, caller, organization_id)
        if organization is None:
            raise NotFound
        return views.standings_out(session, organization, purpose, on or service.today())
