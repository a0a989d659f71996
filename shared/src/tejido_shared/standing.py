"""The reasons of standing in words: for whoever asks the register, and for whoever heard of them by an event."""

from contextlib import suppress

from tejido_shared import i18n
from tejido_shared.jurisdiction import Jurisdiction

PACKAGE = "tejido_shared"


def in_words(reason: str, jurisdiction: Jurisdiction) -> str:
    """A reason's code in the caller's language; `document_missing:<type>` names the document. A code nobody knows comes back as it is."""
    code, _, document = reason.partition(":")
    if not i18n.knows(PACKAGE, f"standing.{code}"):
        return reason
    with suppress(LookupError):  # not of a document, or of one that the municipality does not ask for any more
        document = jurisdiction.document_type(document).name
    return i18n.text(PACKAGE, f"standing.{code}", document=document)
