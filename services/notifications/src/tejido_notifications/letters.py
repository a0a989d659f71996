"""The text of a message: an event, a template, and what the municipality says of itself. No I/O but reading the templates.

A template is a text file `<event>.<language>.txt`, the event's type with `_` for `.`; its first line is the subject. It sees the
fields of the event (docs/events.md), `office` (of the request; none if the event names none), `tracking_url` (where the request is
followed; without its code), `entity` and `texts` of the jurisdiction pack, and the filters `day`, `instant`, `local_date` (of an
instant) and `say` (a key of the catalogue in the letter's language). A file of that name in the pack's `messages/` takes its place.
"""

from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import structlog
from babel import Locale
from babel.dates import format_date, format_time
from jinja2 import FunctionLoader, StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tejido_notifications.settings import jurisdiction, settings
from tejido_shared import i18n
from tejido_shared.contracts import EVENTS
from tejido_shared.jurisdiction import Office

log = structlog.get_logger()


class Unsendable(Exception):  # noqa: N818
    """No message can be made of this. `code` names the reason in the catalogue; `params` hold no personal data."""

    def __init__(self, code: str, **params: Any) -> None:
        super().__init__(code)
        self.code, self.params = code, params


@dataclass(frozen=True)
class Letter:
    """What is sent. The subject is one line."""

    subject: str
    body: str
    language: str


def write(cause_type: str, template: str, language: str, context: str) -> Letter:
    """The letter that tells of an event, whose unsealed fields are the JSON `context`. Raises `Unsendable` if the template fails."""
    pack = jurisdiction()
    if _source(f"{template}.{language}.txt") is None:
        language = "es"
    name = f"{template}.{language}.txt"
    try:
        fields = dict(EVENTS[cause_type].model_validate_json(context))
        if fields.get("recipient_name"):
            fields["recipient_name"] = one_line(fields["recipient_name"])
        fields |= {"office": _office(fields.get("office")), "entity": pack.entity, "texts": pack.texts}
        fields["tracking_url"] = f"{settings().common.public_url.rstrip('/')}/seguimiento/{quote(fields['number'])}"
        text = _environment(language).get_template(name).render(fields)
    except TemplateError as error:
        raise Unsendable("template", template=name, detail=f"{type(error).__name__}: {error.message}") from None
    except Exception as error:  # noqa: BLE001 - a template may fail in any way; its words may quote a person's data
        raise Unsendable("template", template=name, detail=type(error).__name__) from None
    subject, _, body = text.strip().partition("\n")
    if not subject or not body.strip():
        raise Unsendable("template", template=name, detail="a subject line and a text are needed")
    return Letter(one_line(subject), body.strip() + "\n", language)


def one_line(text: str) -> str:
    """The text without line ends and other control characters: nothing in it can begin a new header."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _source(name: str) -> str | None:
    """A template's text: the pack's, else ours."""
    own = jurisdiction().messages.get(name)
    if own is not None:
        return own
    path = files("tejido_notifications") / "templates" / name
    return path.read_text("utf-8") if path.is_file() else None


@cache
def _environment(language: str) -> ImmutableSandboxedEnvironment:
    pack = jurisdiction()
    for name in pack.messages:
        if name.partition(".")[0] not in _names():
            log.warning("pack_message_unused", name=name)
    locale = Locale.parse(pack.locale, sep="-")
    if locale.language != language:
        locale = Locale.parse(language)

    def day(value: date) -> str:
        return format_date(value, "full", locale)

    def instant(value: datetime) -> str:
        local = value.astimezone(pack.zone)
        time = format_time(local, "short", locale=locale).replace("\N{NARROW NO-BREAK SPACE}", "\N{NO-BREAK SPACE}")
        return f"{day(local.date())}, {time}"

    def local_date(value: datetime) -> date:
        return value.astimezone(pack.zone).date()

    def say(code: str) -> str:
        return i18n.text("tejido_notifications", code, language)

    environment = ImmutableSandboxedEnvironment(  # plain text: there is nothing to escape for
        loader=FunctionLoader(_source), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"day": day, "instant": instant, "local_date": local_date, "say": say}
    return environment


@cache
def _names() -> frozenset[str]:
    return frozenset(path.name.partition(".")[0] for path in (files("tejido_notifications") / "templates").iterdir())


def _office(code: str | None) -> Office | None:
    """The office as the pack presents it. A message does without one that has left the pack since."""
    try:
        return jurisdiction().office(code) if code else None
    except LookupError:
        return None
