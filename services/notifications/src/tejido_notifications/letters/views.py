"""What is shown of texts."""

from sqlalchemy.orm import Session

from tejido_notifications.letters import queries, sandbox, schemas, service, sources, variables, writing
from tejido_notifications.letters.service import Text
from tejido_shared import i18n


def names() -> list[str]:
    """Of all messages whose texts can be read and written."""
    return [name for name in sources.names() if name in service.CAUSES]


def summaries(session: Session) -> list[schemas.TemplateSummary]:
    saved = queries.newest(session)
    return [
        schemas.TemplateSummary(**_summary(saved, Text(name, form, language)))
        for name in names()
        for form in sources.FORMS
        for language in i18n.LANGUAGES
    ]


def whole(session: Session, text: Text) -> schemas.TemplateOut:
    saved = queries.newest(session)
    chosen = sources.chosen(saved, text.name, text.form, text.language)
    without = sources.unsaved(text.name, text.form, text.language)
    return schemas.TemplateOut(
        **_summary(saved, text),
        source=chosen.text if chosen else "",
        without_saved=without.text if without else "",
        variables=[_variable(variable) for variable in variables.documented(text.cause_type)],
        filters=[
            schemas.FilterOut(name=name, meaning=_say(f"filter.{name}")) for name in (*sandbox.OURS, *sandbox.BORROWED)
        ],
    )


def version(session: Session, text: Text, number: int) -> schemas.TemplateVersionDiff | None:
    found = queries.version(session, text.name, text.form, text.language, number)
    if found is None:
        return None
    before = queries.before(session, found)
    without = sources.unsaved(text.name, text.form, text.language)
    plain = without.text if without else ""
    old, new = (one.source if one is not None and one.source is not None else plain for one in (before, found))
    shown = schemas.TemplateVersionOut.model_validate(found)
    return schemas.TemplateVersionDiff(**shown.model_dump(), diff=service.difference(old, new))


def preview(session: Session, text: Text, asked: schemas.PreviewIn) -> schemas.PreviewOut:
    context = service.context(session, text, asked.sample, asked.delivery_id)
    letter = short = service.preview(session, text, asked.source, context, text.form)
    if text.form == "mail":  # a text written for short messages comes before the subject line of this one
        written = writing.choose(queries.newest(session), text.name, "short", text.language)[2] == "short"
        short = service.preview(session, text, None if written else asked.source, context, "short")
    return schemas.PreviewOut(
        subject=letter.subject,
        text=letter.body,
        html=letter.html,
        short=f"{short.subject}: {short.body}",
        version=letter.version,
    )


def _summary(saved: sources.Saved, text: Text) -> dict[str, object]:
    chosen, _, form_of_source = writing.choose(saved, text.name, text.form, text.language)
    return {
        "name": text.name,
        "form": text.form,
        "language": text.language,
        "cause_type": text.cause_type,
        "origin": "mail" if form_of_source != text.form else chosen.origin if chosen else "ours",
        "version": chosen.version if chosen else "",
        "number": saved.get((text.name, text.form, text.language), (0, None))[0],
    }


def _variable(variable: variables.Variable) -> schemas.VariableOut:
    """Meanings of the event's fields are the contract's, in English; those of the house are in the caller's language."""
    shown = variable._asdict()
    if variable.meaning.startswith("variable."):
        shown["meaning"] = _say(variable.meaning)
    return schemas.VariableOut(**shown)


def _say(code: str) -> str:
    return i18n.text("tejido_notifications", code)
