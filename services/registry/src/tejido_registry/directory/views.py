"""What everybody sees of an organization. Every public answer takes the fields that need a consent from here, and from nowhere else."""

from typing import Any

from tejido_registry.directory.schemas import PointShown, ProfileOut
from tejido_registry.models import Organization, PublicProfile

PLAIN = (
    *("id", "version", "number", "name", "public_name", "other_names", "organization_type", "locality", "territory"),
    *("area", "themes", "populations", "registration_status", "verified_on", "registered_at"),
)
"""What a register shows of every organization that it lists."""


def consented(organization: Organization) -> dict[str, Any]:
    """The fields that need a consent: as the organization lets everybody see them, none where it does not."""
    profile = organization.profile
    consents = profile.consents if profile is not None else {}
    wanted = consents.keys()
    contacts = organization.contacts if {"phone", "email", "contact_name"} & wanted else []
    values = {
        "description": profile.description if profile is not None else None,
        "purpose": organization.purpose,
        "address": organization.address,
        "website": organization.website,
        "phone": next((one.phone for one in contacts if one.phone), None),
        "email": next((one.email for one in contacts if one.email), None),
        "contact_name": next((one.name for one in contacts if one.name), None),
    }
    shown = {name: value if name in wanted else None for name, value in values.items()}
    placed = organization.public_latitude is not None
    return shown | {
        "latitude": organization.public_latitude,
        "longitude": organization.public_longitude,
        "point": organization.point_shown if placed else None,
    }


def profile_out(organization: Organization, profile: PublicProfile | None) -> ProfileOut:
    point: PointShown = organization.point_shown  # type: ignore[assignment]
    if profile is None:
        return ProfileOut(description=None, shown={}, point=point, changed_at=None)
    shown = {name: at for name, at in profile.consents.items() if name != "point"}
    return ProfileOut(description=profile.description, shown=shown, point=point, changed_at=profile.changed_at)
