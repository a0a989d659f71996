"""From a claimed delivery to the message a line is given."""

from tejido_notifications.campaigns import invitations
from tejido_notifications.channels import Attached, Message
from tejido_notifications.contacts import service as contacts
from tejido_notifications.db import tx
from tejido_notifications.delivery.service import Claimed
from tejido_notifications.letters import sources, writing
from tejido_notifications.letters.sources import Form


def message(claimed: Claimed) -> Message:
    """What the line is given. Raises `letters.writing.Unsendable` if there can be none. Takes a transaction only where it has to: for
    most messages it does not."""
    if claimed.letter is None:
        raise writing.Unsendable("undecryptable")
    recipient, context = claimed.letter
    unsubscribe: str | None = None
    attached: tuple[Attached, ...] = ()
    if claimed.channel == "webhook":
        letter = writing.Letter("", context, claimed.language)
    else:
        if claimed.category == "campaign":
            with tx() as session:
                unsubscribe = contacts.unsubscribe_url(session, claimed.channel, recipient)
        saved = sources.kept()
        if saved is None:
            with tx() as session:
                saved = sources.saved(session)
        form: Form = "mail" if claimed.channel in ("email", "in_app") else "short"
        asked = claimed.cause_type, claimed.template, claimed.language, context
        letter = writing.write(saved, *asked, form=form, unsubscribe_url=unsubscribe)
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
