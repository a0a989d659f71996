"""Texts that administrators write: checked, saved, shown. Each takes a session, none commits."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn
from uuid import UUID

import sqlalchemy as sa
from jinja2 import TemplateError, TemplateSyntaxError
from sqlalchemy.orm import Session

from tejido_notifications.letters import queries, samples, sandbox, sources, variables, writing
from tejido_notifications.letters.kinds import OWN
from tejido_notifications.letters.sources import Form, Source
from tejido_notifications.models import TemplateVersion
from tejido_notifications.proof.access import is_confidential
from tejido_shared.contracts import EVENTS
from tejido_shared.ids import new_id
from tejido_shared.refusals import Refused

_DRAFT = ""
"""Version of a text that nobody saved."""


@dataclass(frozen=True)
class Text:
    """A text by its name, form and language."""

    name: str
    form: Form
    language: str

    @property
    def cause_type(self) -> str:
        """The type of the event it tells of. Raises `KeyError` for one nobody knows."""
        return CAUSES[self.name]


CAUSES = {cause_type.replace(".", "_"): cause_type for cause_type in (*EVENTS, *OWN)}
"""By the name of the message: what it tells of."""


def save(session: Session, text: Text, source: str | None, remark: str, author: str) -> TemplateVersion:
    """Adds a version; it counts in every process a few seconds later. Raises `Refused` with line and name of what is wrong with it."""
    if source is not None:
        source = source.replace("\r\n", "\n").replace("\r", "\n")
        check(text, source)
    hold(session, text)
    number = queries.number_of_newest(session, text.name, text.form, text.language) + 1
    version = TemplateVersion(
        id=new_id(),
        name=text.name,
        form=text.form,
        language=text.language,
        number=number,
        source=source,
        remark=remark,
        author=author,
    )
    session.add(version)
    session.flush()
    sa.event.listen(session, "after_commit", lambda _: sources.forget(), once=True)
    return version


def hold(session: Session, text: Text) -> None:
    """Until the transaction ends, nobody else saves a version of this text."""
    lock = sa.func.pg_advisory_xact_lock(sa.func.hashtext(f"template {text.name}.{text.form}.{text.language}"))
    session.execute(sa.select(lock))


def check(text: Text, source: str) -> None:
    """Whether a text can be sent whatever its event carries. Raises `Refused`."""
    if len(source.encode()) > sandbox.LARGEST_SOURCE:
        raise Refused("text_too_long", "source", bytes=sandbox.LARGEST_SOURCE)
    try:
        tree = sandbox.environment(text.language).parse(source)
        sandbox.compiled(source, text.language)
    except TemplateSyntaxError as error:
        _refuse("text_syntax", error.lineno, error.message or "")
    except Exception as error:  # noqa: BLE001 - nested too deep for Python, for one
        _refuse("text_syntax", 1, type(error).__name__)
    if unknown := variables.unknown(tree, text.cause_type):
        raise Refused("text_variable", "source", variables=_listed(unknown))
    if text.form == "short" and (private := variables.named(tree, variables.personal(text.cause_type))):
        raise Refused("text_personal", "source", variables=_listed(private))
    for line, key in sandbox.unsaid(tree):  # also where no sample leads
        _refuse("text_key", line, key)
    form, draft = text.form, Source(source, "saved", _DRAFT)
    for name, context in samples.samples(text.cause_type):
        try:
            writing.compose(draft, text.cause_type, text.language, context, form, form, strict=True)
        except writing.Incomplete:
            raise Refused("text_incomplete", "source", sample=name) from None
        except writing.TooLong:
            raise Refused("text_short_too_long", "source", characters=writing.LONGEST_SHORT, sample=name) from None
        except sandbox.NoSuchWords as error:
            _refuse("text_key", sandbox.line_of(error), f"{error.message} [{name}]")
        except TemplateError as error:
            _refuse("text_fails", sandbox.line_of(error), f"{error.message} [{name}]")
        except Exception as error:  # noqa: BLE001 - a text may fail in any way; the data is fictional
            _refuse("text_fails", sandbox.line_of(error), f"{type(error).__name__}: {error}"[:200] + f" [{name}]")


def preview(session: Session, text: Text, source: str | None, context: str, form: Form) -> writing.Letter:
    """The letter or short message as it would be sent: of `source`, or else of what counts. Raises `Refused` for what fails."""
    if source is not None:
        chosen, language, form_of_source = Source(source, "saved", _DRAFT), text.language, text.form
    else:
        counts, language, form_of_source = writing.choose(queries.newest(session), text.name, form, text.language)
        if counts is None:
            raise Refused("text_none", "path.name")
        chosen = counts
    try:
        return writing.compose(chosen, text.cause_type, language, context, form, form_of_source)
    except TemplateSyntaxError as error:
        _refuse("text_syntax", error.lineno, error.message or "")
    except writing.Incomplete:
        raise Refused("text_incomplete", "source", sample="-") from None
    except TemplateError as error:
        _refuse("text_fails", sandbox.line_of(error), error.message or "")
    except Exception as error:  # noqa: BLE001 - its words may quote a person's data
        _refuse("text_fails", sandbox.line_of(error), type(error).__name__)


def context(session: Session, text: Text, sample: str, delivery_id: UUID | None) -> str:
    """What to tell of, as JSON: a fictional event, or what the message `delivery_id` told of, which is personal data.

    Raises `Refused` for a message that tells of something else, or that cannot be decrypted.
    """
    if delivery_id is None:
        return samples.sample(text.cause_type, full=sample == "full")
    try:
        delivery = queries.delivery(session, delivery_id)
    except ValueError:
        raise Refused("message_unreadable", "delivery_id") from None
    if delivery is None:
        raise Refused("unknown_message", "delivery_id")
    if delivery.cause_type != text.cause_type:
        raise Refused("other_event", "delivery_id", cause_type=text.cause_type)
    if is_confidential(session, delivery):
        raise Refused("message_confidential", "delivery_id")
    return delivery.context


def difference(before: str, after: str) -> str:
    """Unified diff of two texts; empty if they are the same."""
    return "\n".join(difflib.unified_diff(before.splitlines(), after.splitlines(), "-", "+", lineterm="", n=3))


def _listed(found: Sequence[tuple[int, str]]) -> str:
    return ", ".join(f"{name} ({line})" for line, name in found)


def _refuse(code: str, line: int, detail: str) -> NoReturn:
    raise Refused(code, "source", line=line, detail=detail) from None
