"""The text of a message: an event, a text with gaps, and what the municipality says of itself.

A text is a file `<event>.<language>.txt`, the event's type with `_` for `.`; its first line is the subject. `<event>.short.<language>.txt`
is what SMS and the like say, all of it on one line. What it may name is in `variables`, what it may do in `sandbox`, and where it comes
from in `sources`.
"""

from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from tejido_notifications.letters import sandbox, sources, variables
from tejido_notifications.letters.html import html_of
from tejido_notifications.letters.sources import Form, Source
from tejido_notifications.letters.variables import one_line
from tejido_notifications.settings import jurisdiction, settings
from tejido_shared import i18n

__all__ = ["Incomplete", "Letter", "Unsendable", "choose", "compose", "one_line", "write"]

LONGEST_SHORT = 300
"""Characters of a short message with its sender: two SMS."""


class Unsendable(Exception):  # noqa: N818
    """No message can be made of this. `code` names the reason in the catalogue; `params` hold no personal data."""

    def __init__(self, code: str, **params: Any) -> None:
        super().__init__(code)
        self.code, self.params = code, params


class Incomplete(TemplateError):  # noqa: N818
    """Nothing came out of a text where something is needed."""


class TooLong(TemplateError):  # noqa: N818
    """A short message is longer than one may be."""


@dataclass(frozen=True)
class Letter:
    """What is sent. The subject is one line. `html` says the same as `body`. `version`: which text it is, see `sources.Source`.

    Of a short message the subject is who speaks, and the body one line; neither holds personal data, and there is no HTML.
    """

    subject: str
    body: str
    language: str
    html: str = ""
    version: str = ""


def write(
    saved: sources.Saved,
    cause_type: str,
    template: str,
    language: str,
    context: str,
    *,
    form: Form = "mail",
    unsubscribe_url: str | None = None,
) -> Letter:
    """The letter that tells of an event, whose unsealed fields are the JSON `context`. In Spanish if there is no text in `language`.

    `saved`: the texts of administrators. `unsubscribe_url` stands at the end of it. Raises `Unsendable` if the text fails.
    """
    source, language, form_of_source = choose(saved, template, form, language)
    file = f"{template}.{language}.txt" if form_of_source == "mail" else f"{template}.{form_of_source}.{language}.txt"
    if source is None:
        raise Unsendable("template", template=file, detail="there is no such text")
    try:
        return compose(source, cause_type, language, context, form, form_of_source, unsubscribe_url=unsubscribe_url)
    except TemplateError as error:
        raise Unsendable("template", template=file, detail=f"{type(error).__name__}: {error.message}") from None
    except Exception as error:  # noqa: BLE001 - a text may fail in any way; its words may quote a person's data
        raise Unsendable("template", template=file, detail=type(error).__name__) from None


def choose(known: sources.Saved, template: str, form: Form, language: str) -> tuple[Source | None, str, Form]:
    """The text to use, its language and its form: a short message without a text of its own is made of the mail's subject."""
    for spoken in dict.fromkeys((language, "es")):
        mail = sources.chosen(known, template, "mail", spoken)
        short = sources.chosen(known, template, "short", spoken) if form == "short" else None
        if short is not None or mail is not None:
            return (short, spoken, "short") if short is not None else (mail, spoken, "mail")
    return None, "es", "mail"


def compose(
    source: Source,
    cause_type: str,
    language: str,
    context: str,
    form: Form,
    form_of_source: Form,
    *,
    unsubscribe_url: str | None = None,
    strict: bool = False,
) -> Letter:
    """The letter made of this very text. Raises whatever a text may do wrong."""
    fields = variables.fields_of(cause_type, context, withhold=form == "short")
    if form_of_source == "short":
        for name in variables.personal(cause_type):
            del fields[name]
    text = sandbox.render(sandbox.compiled(source.text, language), fields, strict=strict).strip()
    if form == "short":
        sender, link = jurisdiction().entity.short_name, None
        if form_of_source == "mail":  # its subject line, and where to look
            text, link = text.partition("\n")[0], fields.get("tracking_url")
        return Letter(
            sender, _short(text, link, LONGEST_SHORT - len(sender) - 2, strict), language, version=source.version
        )
    subject, _, body = text.partition("\n")
    subject, body = one_line(subject), body.strip()
    if not subject or not body:
        raise Incomplete("a subject line and a text are needed")
    html = html_of(
        subject,
        body,
        language,
        entity=jurisdiction().entity,
        signature=jurisdiction().texts.signature,
        public_url=settings().common.public_url,
        unsubscribe_url=unsubscribe_url,
    )
    if unsubscribe_url:
        body += f"\n\n{i18n.text('tejido_notifications', 'letter.unsubscribe', language)}: {unsubscribe_url}"
    return Letter(subject, body + "\n", language, html, source.version)


def _short(text: str, link: str | None, room: int, strict: bool) -> str:
    """One line that ends with the link, shortened to `room` characters unless `strict`."""
    said = one_line(text)
    if not said:
        raise Incomplete("a text is needed")
    end = f" {link}" if link else ""
    if len(said + end) > room:
        if strict:
            raise TooLong(f"{len(said + end)} characters")
        said = said[: max(room - len(end) - 1, 0)].rstrip() + "…"
    return said + end
