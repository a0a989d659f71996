"""How contacts are shown: to their owner whole, to others with addresses masked; and the page to unsubscribe."""

from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template
from sqlalchemy.orm import Session

from tejido_notifications.contacts import addresses, queries, schemas, service
from tejido_notifications.models import Address, Contact
from tejido_notifications.settings import jurisdiction, settings
from tejido_shared import i18n

PACKAGE = "tejido_notifications"


def nobody() -> Contact:
    """What a contact is like that was never said anything of; its version is 0."""
    return Contact(version=0, language=jurisdiction().locale.partition("-")[0], digest=False)


def contact_out(session: Session, contact: Contact, *, owner: bool) -> schemas.ContactOut:
    present = queries.addresses(session, contact.id) if contact.id is not None else []
    return schemas.ContactOut(
        language=contact.language,
        quiet_from=contact.quiet_from,
        quiet_until=contact.quiet_until,
        digest=contact.digest,
        addresses=[_address_out(session, address, owner=owner) for address in present],
        channels=sorted(settings().channels),
    )


def _address_out(session: Session, address: Address, *, owner: bool) -> schemas.AddressOut:
    wanted = service.marks(address.channel, address.value)
    return schemas.AddressOut(
        channel=address.channel,
        value=address.value if owner else addresses.masked(address.channel, address.value),
        rank=address.rank,
        verified_at=address.verified_at,
        bounced_at=address.bounced_at,
        bounce_reason=address.bounce_reason,
        opted_out=queries.opted_out(session, wanted) if address.verified_at is not None else [],
    )


def unsubscribe_page(address: Address, *, done: bool) -> str:
    """HTML in the reader's language. It holds no script and asks nothing of other servers."""
    entity = jurisdiction().entity

    def say(code: str) -> str:
        shown = addresses.masked(address.channel, address.value)
        return i18n.text(PACKAGE, f"unsubscribe.{code}", entity=entity.name, address=shown)

    return _page().render(say=say, done=done, language=i18n.language.get(), entity=entity.name)


@cache
def _page() -> Template:
    source = files(PACKAGE).joinpath("contacts", "unsubscribe.html").read_text("utf-8")
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True).from_string(
        source
    )
