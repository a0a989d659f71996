"""What people read is there in both languages, with the same places to fill."""

from string import Formatter

import pytest
from babel.messages.pofile import read_po

from tejido_local import texts
from tejido_local.paths import ROOT


def catalogue(lang: str) -> dict[str, str]:
    path = ROOT / "local" / "src" / "tejido_local" / "locale" / lang / "LC_MESSAGES" / "messages.po"
    with path.open("rb") as file:
        return {str(message.id): str(message.string) for message in read_po(file) if message.id}


def test_both_languages_say_the_same_things() -> None:
    def fields(text: str) -> set[str | None]:
        return {field for _, field, _, _ in Formatter().parse(text)} - {None}

    spanish, english = catalogue("es"), catalogue("en")
    assert spanish.keys() == english.keys()
    assert {code: fields(text) for code, text in spanish.items()} == {
        code: fields(text) for code, text in english.items()
    }


@pytest.mark.parametrize("lang", ["es", "en"])
def test_our_reader_reads_what_babel_reads(lang: str) -> None:
    for code, text in catalogue(lang).items():
        assert texts.text(code, lang).replace("{", "").replace("}", "") == text.replace("{", "").replace("}", "")


@pytest.mark.parametrize(("locale", "lang"), [("en_GB.UTF-8", "en"), ("es_CO.UTF-8", "es"), ("C", "es"), ("", "es")])
def test_language_of_the_terminal(monkeypatch: pytest.MonkeyPatch, locale: str, lang: str) -> None:
    for name in ("LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", locale)
    assert texts.language() == lang
