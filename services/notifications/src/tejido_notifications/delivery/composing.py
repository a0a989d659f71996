"""From a claimed delivery to the message a line is given."""

from sqlalchemy.orm import Session

from tejido_notifications.campaigns import invitations
from tejido_notifications.channels import Attached, Message
from tejido_notifications.contacts import service as contacts
from tejido_notifications.delivery.service import Claimed
from tejido_notifications.letters import writing
from tejido_notifications.letters.sources import Form


def message(session: Session, claimed: Claimed) -> Message:
    """What the line is given. Raises `letters.writing.Unsendable` if there can be none."""
    if claimed.letter is None:
        raise writing.Unsendable("undecryptable")
    recipient, context = claimed.letter
    unsubscribe: str | None = None
    attached: tuple[Attached, ...] = ()
    if claimed.channel == "webhook":
        letter = writing.Letter("", context, claimed.language)
    else:
        if claimed.category == "campaign":
            unsubscribe = contacts.unsubscribe_url(session, claimed.channel, recipient)
        form: Form = "mail" if claimed.channel in ("email", "in_app") else "short"
        asked = claimed.cause_type, claimed.template, claimed.language, context
        letter = writing.write(session, *asked, form=form, unsubscribe_url=unsubscribe)
        attached = invitations.attached(claimed.cause_type, context)
    return Message(
        claimed.id,
        recipient,
        letter,
        contacts.unsubscribe_headers(unsubscribe) if unsubscribe else {},
        attached,
        claimed.about,
        claimed.recipient_key,
        claimed.occurred_at,
    )
