"""The directory as the Human Services Data Specification 3.0 has it (Open Referral): what an organization is, what it does and where.

The register keeps no services, so each theme that an organization works on is one. Keys of what the register gives none are derived
from the organization's, and are the same each time. HSDS knows no null: what is not known or not shown is left out.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID, uuid5

from pydantic import AnyUrl, ValidationError

from tejido_registry.directory.exports import names_of
from tejido_registry.directory.views import consented
from tejido_registry.models import Organization
from tejido_registry.service import PACKAGE
from tejido_registry.settings import jurisdiction, settings
from tejido_shared import i18n

VERSION = "3.0"
PROFILE = "https://docs.openreferral.org/en/v3.0.0/"
Object = dict[str, Any]
_TAXONOMY = UUID("5f1c1b5e-7a0c-4b7e-9a57-0d3c35b6a0e1")
"""Namespace of the keys of the terms: themes and populations."""


def organization(of: Organization) -> Object:
    """The whole of it, with its services."""
    return _organization(of) | {"services": [_service(of, theme) for theme in of.themes]}


def service(of: Organization, theme: str) -> Object:
    """One theme of an organization, with who does it."""
    return _service(of, theme) | {"organization": _organization(of)}


def _organization(of: Organization) -> Object:
    shown = consented(of)
    base = settings().common.public_url.rstrip("/")
    return _known(
        id=str(of.id),
        name=of.name,
        alternate_name=of.public_name,
        description=_description(of, shown),
        email=_email(shown),
        website=_uri(shown["website"]),
        uri=f"{base}/registry/v1/organizations/{of.id}",
        phones=_phones(of, shown),
        contacts=_contacts(of, shown),
        locations=_locations(of, shown),
        organization_identifiers=_identifiers(of),
        attributes=_attributes(of, "population", of.populations, "organization"),
    )


def _service(of: Organization, theme: str) -> Object:
    key = str(_key(of, f"service:{theme}"))
    name = names_of("theme").get(theme, theme)
    shown = consented(of)
    place = _locations(of, shown)
    return _known(
        id=key,
        organization_id=str(of.id),
        name=name,
        description=i18n.text(PACKAGE, "hsds.service", theme=name, organization=of.name),
        status="active" if of.registration_status == "registered" else "inactive",
        attributes=_attributes(of, "theme", [theme], "service"),
        service_areas=[{"id": str(_key(of, f"service_area:{theme}")), "service_id": key, "name": _area(of)}]
        if _area(of)
        else [],
        service_at_locations=[
            {
                "id": str(_key(of, f"service_at_location:{theme}")),
                "service_id": key,
                "location_id": one["id"],
                "location": one,
            }
            for one in place
        ],
    )


def _description(of: Organization, shown: Object) -> str:
    """Its own words where it shows them; HSDS asks for some of everybody."""
    own: str | None = shown["description"] or shown["purpose"]
    if own:
        return own
    kind = names_of("organization_type").get(of.organization_type, of.organization_type)
    return i18n.text(PACKAGE, "hsds.organization", type=kind, number=of.number, entity=jurisdiction().entity.name)


def _phones(of: Organization, shown: Object) -> list[Object]:
    if shown["phone"] is None:
        return []
    return [{"id": str(_key(of, "phone")), "organization_id": str(of.id), "number": shown["phone"]}]


def _contacts(of: Organization, shown: Object) -> list[Object]:
    if shown["contact_name"] is None:
        return []
    key = str(_key(of, "contact"))
    return [_known(id=key, organization_id=str(of.id), name=shown["contact_name"], email=_email(shown))]


def _locations(of: Organization, shown: Object) -> list[Object]:
    """Its place, if it shows any of it. A blurred point says that it is one."""
    if shown["address"] is None and shown["point"] is None:
        return []
    key, pack = str(_key(of, "location")), jurisdiction()
    address: list[Object] = []
    if shown["address"] is not None:
        address.append(
            {
                "id": str(_key(of, "address")),
                "location_id": key,
                "address_1": shown["address"],
                "city": of.locality or _area(of) or pack.name,
                "state_province": pack.name,
                "postal_code": "",  # HSDS asks for it, and the register does not
                "country": pack.country,
                "address_type": "physical",
            }
        )
    blurred = shown["point"] == "blurred"
    return [
        _known(
            id=key,
            location_type="physical",
            organization_id=str(of.id),
            name=of.public_name or of.name,
            description=i18n.text(PACKAGE, "hsds.blurred", meters=of.blur_meters) if blurred else None,
            latitude=shown["latitude"],
            longitude=shown["longitude"],
            addresses=address,
        )
    ]


def _identifiers(of: Organization) -> list[Object]:
    """Its number here and those of other registers; a person's tax number is not among them."""
    schemes = {scheme.code: scheme.name for scheme in jurisdiction().identifier_schemes}
    ours = [
        {
            "id": str(_key(of, "number")),
            "organization_id": str(of.id),
            "identifier_type": jurisdiction().entity.name,
            "identifier": of.number,
        }
    ]
    return ours + [
        {
            "id": str(one.id),
            "organization_id": str(of.id),
            "identifier_scheme": one.scheme,
            "identifier_type": schemes.get(one.scheme, one.scheme),
            "identifier": one.value,
        }
        for one in of.identifiers
        if not one.of_a_person
    ]


def _attributes(of: Organization, kind: str, codes: Iterable[str], entity: str) -> list[Object]:
    names = names_of(kind)
    return [
        {
            "id": str(_key(of, f"{entity}:{kind}:{code}")),
            "link_id": str(_key(of, f"service:{code}")) if entity == "service" else str(of.id),
            "taxonomy_term_id": str(uuid5(_TAXONOMY, f"{kind}:{code}")),
            "link_entity": entity,
            "taxonomy_term": {
                "id": str(uuid5(_TAXONOMY, f"{kind}:{code}")),
                "code": code,
                "name": names.get(code, code),
                "description": names.get(code, code),
                "taxonomy": i18n.text(PACKAGE, f"hsds.taxonomy.{kind}"),
                "language": "es",
            },
        }
        for code in codes
    ]


def _area(of: Organization) -> str | None:
    return names_of("area").get(of.area, of.area) if of.area else of.territory


def _email(shown: Object) -> str | None:
    email: str | None = shown["email"]
    return email if email and email.isascii() else None  # HSDS has no others


def _uri(website: str | None) -> str | None:
    """A web address as a URI has to be written; none for what is none."""
    try:
        return str(AnyUrl(website)) if website else None
    except ValidationError:
        return None


def _key(of: Organization, what: str) -> UUID:
    return uuid5(of.id, what)


def _known(**values: Any) -> Object:
    return {name: value for name, value in values.items() if value not in (None, [])}
