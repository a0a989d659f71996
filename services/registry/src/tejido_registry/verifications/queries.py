"""Verifications, as they are recorded."""

from uuid import UUID

import sqlalchemy as sa

from tejido_registry.models import Verification

SORTABLE = {"verified_on": Verification.verified_on}


def of_one(organization_id: UUID) -> sa.Select[Verification]:
    return sa.select(Verification).where(Verification.organization_id == organization_id)
