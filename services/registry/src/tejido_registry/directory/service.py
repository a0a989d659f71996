"""What an organization lets everybody see, and since when. Each use case takes a session and never commits."""

from sqlalchemy.orm import Session

from tejido_registry import service as register
from tejido_registry.directory.schemas import ProfileIn
from tejido_registry.models import Organization, PublicProfile
from tejido_registry.settings import jurisdiction
from tejido_shared.clock import now
from tejido_shared.refusals import Refused


def set_profile(
    session: Session,
    organization: Organization,
    profile: PublicProfile | None,
    said: ProfileIn,
    author: str,
    *,
    for_them: bool,
) -> PublicProfile:
    """Consents, and withdraws what is not named; what was consented to before keeps its date. The same again changes nothing.

    `for_them`: a registrar says it for the organization, and must name what shows that it wants it so. Raises `Refused`.
    """
    if for_them and not said.evidence:
        raise Refused("evidence_missing", "evidence")
    instant = now()
    before = dict(profile.consents) if profile is not None else {}
    wanted: set[str] = {*said.shown}
    if said.point != "hidden":
        wanted.add("point")
    same_point = organization.point_shown == said.point
    consents = {
        name: before[name] if name in before and (name != "point" or same_point) else instant.isoformat()
        for name in sorted(wanted)
    }
    described = profile.description if profile is not None else None
    if profile is not None and (consents, said.description, same_point) == (before, described, True):
        return profile
    if profile is None:
        profile = PublicProfile(organization_id=organization.id)
        session.add(profile)
    profile.description = said.description
    profile.consents = consents
    profile.changed_by, profile.changed_at = author, instant
    if not same_point:
        organization.point_shown = said.point
        organization.blur_meters = jurisdiction().registration.policy.blur_meters if said.point == "blurred" else None
        organization.changed_at = instant
    session.flush()
    register.record(
        session,
        organization,
        "profile_changed",
        author,
        reason=said.evidence,
        given=sorted(consents.keys() - before.keys()),
        withdrawn=sorted(before.keys() - consents.keys()),
        point=said.point,
    )
    return profile
