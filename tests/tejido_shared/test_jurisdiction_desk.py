"""What the petition desk asks of a pack: where a request goes, which clocks run in it, who is told, what is kept."""

import re
import shutil
import string
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tejido_shared.jurisdiction import (
    RESPONSE_PLACEHOLDERS,
    Jurisdiction,
    JurisdictionError,
    RoutingRule,
    load,
    parse_receipt_number,
    receipt_number,
)
from tejido_shared.jurisdiction.numbers import same_series
from tejido_shared.jurisdiction.routing import Router

ROOT = Path(__file__).parents[2]
BOGOTA = ROOT / "jurisdictions" / "co-bogota"
TUCUMAN = ROOT / "jurisdictions" / "ar-tucuman"

Edit = Callable[[str, str], Jurisdiction]


@pytest.fixture
def bogota_with(tmp_path: Path) -> Edit:
    """Bogotá with another text in one file."""

    def edit(file: str, text: str) -> Jurisdiction:
        pack = tmp_path / "pack"
        shutil.copytree(BOGOTA, pack, dirs_exist_ok=True)
        (pack / file).write_text(text, encoding="utf-8")
        return load(pack)

    return edit


@pytest.mark.parametrize("pack", [BOGOTA, TUCUMAN])
def test_only_the_web_is_open_to_citizens_alone(pack: Path) -> None:
    jurisdiction = load(pack)
    assert [channel.code for channel in jurisdiction.channels if channel.public] == ["web", "open311"]
    assert {channel.code for channel in jurisdiction.channels if channel.verbal} == {
        "counter",
        "phone",
        "itinerant_desk",
    }
    assert all(channel.active for channel in jurisdiction.channels)
    with pytest.raises(LookupError):
        jurisdiction.channel("pigeon")


def test_both_cities_have_twenty_areas() -> None:
    assert len(load(BOGOTA).areas) == len(load(TUCUMAN).areas) == 20
    assert load(BOGOTA).area("antonio-narino").name == "Antonio Nariño"
    assert load(TUCUMAN).channel("itinerant_desk").name == "La Muni Cerca Tuyo"
    with pytest.raises(LookupError):
        load(BOGOTA).area("macondo")


def test_the_clocks_of_the_procedure_are_the_laws() -> None:
    assert {
        name: (term.unit, term.n, term.extension_max_added, term.kind)
        for name, term in load(BOGOTA).procedure.terms.items()
    } == {
        "acknowledge": ("business_days", 2, None, "service_commitment"),
        "ask_for_completion": ("business_days", 10, None, "legal"),
        "complete": ("months", 1, 1, "legal"),
        "clarify": ("business_days", 10, None, "legal"),
        "transfer": ("business_days", 5, None, "legal"),
        "appeal": ("business_days", 10, None, "legal"),
        "silence": ("months", 3, None, "legal"),
    }
    tucuman = load(TUCUMAN).procedure
    assert tucuman.ask_for_completion is tucuman.appeal is None
    assert {term.kind for term in tucuman.terms.values()} == {"service_commitment"}
    assert tucuman.terms["silence"].n == 60
    assert tucuman.terms["transfer"].n == 5


def test_a_changed_term_of_the_procedure_changes_the_version_and_a_target_does_not(bogota_with: Edit) -> None:
    before = load(BOGOTA).terms_version
    text = (BOGOTA / "procedure.toml").read_text(encoding="utf-8")
    assert bogota_with("procedure.toml", text.replace("n = 3", "n = 4", 1)).terms_version != before
    assert bogota_with(
        "procedure.toml", text.replace("draft_before_due = 3", "draft_before_due = 4")
    ).terms_version == (before)


def test_a_text_of_an_answer_does_not_change_the_version_of_the_terms(bogota_with: Edit) -> None:
    text = (BOGOTA / "request_types.toml").read_text(encoding="utf-8")
    changed = bogota_with("request_types.toml", text.replace("le informamos:", "informamos:"))
    assert changed.terms_version == load(BOGOTA).terms_version


@pytest.mark.parametrize("pack", [BOGOTA, TUCUMAN])
def test_reminders_climb_from_the_assignee_to_the_authority(pack: Path) -> None:
    reminders = {(row.clock, row.days): row.to for row in load(pack).reminders}
    assert reminders["answer", "due_soon"] == ("assignee",)
    assert reminders["answer", 0] == ("assignee", "head")
    assert reminders["answer", 1] == ("assignee",)
    assert reminders["answer", 3] == reminders["answer", 5] == ("authority",)
    assert reminders["citizen_completion", 1] == ("assignee",)


@pytest.mark.parametrize("pack", [BOGOTA, TUCUMAN])
def test_incoming_and_outgoing_numbers_are_never_confused(pack: Path) -> None:
    jurisdiction = load(pack)
    series = (jurisdiction.receipt_pattern, jurisdiction.answer_pattern)
    for sequence in (1, 999_999, 1_000_000, 123_456_789):
        for own, other in (series, series[::-1]):
            number = receipt_number(own, 2026, sequence)
            assert parse_receipt_number(own, number) == (2026, sequence)
            with pytest.raises(ValueError):
                parse_receipt_number(other, number)


@pytest.mark.parametrize(
    ("pattern", "clash"),
    [
        ("BOG-{year}-{sequence:06d}-{check}", True),
        ("BOG-{year}-{sequence:09d}-{check}", True),
        ("BOG-{sequence:04d}-{year}-{check}", False),  # a year has four figures, this serial six
        ("BOG-{year}-{sequence:06d}/{check}", False),
        ("{year}-{sequence:06d}-{check}", False),
    ],
)
def test_two_patterns_are_of_one_series_if_a_number_fits_both(pattern: str, clash: bool) -> None:
    assert same_series("BOG-{year}-{sequence:06d}-{check}", pattern) is clash
    assert same_series(pattern, "BOG-{year}-{sequence:06d}-{check}") is clash


def test_a_serial_as_short_as_a_year_may_be_taken_for_one() -> None:
    assert same_series("BOG-{year}-{sequence:04d}-{check}", "BOG-{sequence:04d}-{year}-{check}")


@pytest.mark.parametrize("pack", [BOGOTA, TUCUMAN])
def test_every_type_is_ready_for_the_desk(pack: Path) -> None:
    values = dict.fromkeys(RESPONSE_PLACEHOLDERS, "x")
    for kind in load(pack).request_types:
        assert kind.group
        assert kind.keywords
        assert kind.response_template is not None
        assert "{" not in kind.response_template.format(**values)


def test_who_reports_corruption_is_not_shown() -> None:
    assert [kind.code for kind in load(BOGOTA).request_types if kind.confidential] == ["corruption_report"]


def test_retention_by_type() -> None:
    bogota = load(BOGOTA)
    for kind, months in (("corruption_report", 120), ("suggestion", 24), ("copies", 60)):
        rule = bogota.retention_for(kind)
        assert rule is not None
        assert rule.after_months == months
    with pytest.raises(LookupError):
        bogota.retention_for("no_such")


def test_the_rule_of_a_type_wins_over_the_general_one_wherever_it_stands(bogota_with: Edit) -> None:
    general = '[[rule]]\nafter_months = 60\narticle = "X"\n'
    own = '[[rule]]\ntypes = ["copies"]\nafter_months = 6\narticle = "X"\n'
    for text in (general + own, own + general):
        rule = bogota_with("retention.toml", text).retention_for("copies")
        assert rule is not None
        assert rule.after_months == 6
    assert bogota_with("retention.toml", own).retention_for("information") is None


@pytest.mark.parametrize(
    ("type_code", "text", "office"),
    [
        ("claim", "Pedí un SOBORNO el funcionario", "control-disciplinario"),
        ("general_interest_petition", "La Junta de  Accion\nComunal no se reúne", "asuntos-comunales"),
        ("general_interest_petition", "¿Cuándo abre el diplomado?", "escuela-participacion"),
        ("general_interest_petition", "una acción que no es comunal", "atencion-ciudadania"),
        ("corruption_report", "junta de acción comunal", "control-disciplinario"),
        ("copies", "curso", "atencion-ciudadania"),
        ("personal_data_claim", "", "oficina-juridica"),
    ],
)
def test_where_requests_go_in_bogota(type_code: str, text: str, office: str) -> None:
    assert load(BOGOTA).route(type_code, text, None).code == office


def test_where_requests_go_in_tucuman() -> None:
    tucuman = load(TUCUMAN)
    assert tucuman.route("claim", "Hay un bache en la esquina", "distrito-3").code == "obras-publicas"
    assert tucuman.route("claim", "La luminaria no prende", None).code == "servicios-publicos"
    assert tucuman.route("environmental_information", "luminaria", None).code == "ambiente"
    with pytest.raises(LookupError):
        tucuman.route("no_such", "bache", None)


def test_each_condition_given_must_hold_and_the_first_rule_wins(bogota_with: Edit) -> None:
    bogota = bogota_with(
        "routing.toml",
        """
        [[rule]]
        types = ["claim", "complaint"]
        words = ["agua", "acueducto"]
        areas = ["usme", "sumapaz"]
        office = "asuntos-comunales"

        [[rule]]
        areas = ["usme"]
        office = "secretaria-general"

        [[rule]]
        words = ["agua"]
        office = "gerencia-proyectos"
        """,
    )
    for type_code, text, area, office in (
        ("claim", "no hay AGUA.", "usme", "asuntos-comunales"),
        ("complaint", "el acueducto", "sumapaz", "asuntos-comunales"),
        ("suggestion", "no hay agua", "usme", "secretaria-general"),
        ("claim", "no hay luz", "usme", "secretaria-general"),
        ("claim", "no hay agua", None, "gerencia-proyectos"),
        ("claim", "aguacate, desagua", "suba", "atencion-ciudadania"),
    ):
        assert bogota.route(type_code, text, area).code == office


def test_letters_are_the_same_however_they_are_stored() -> None:
    router = Router([RoutingRule(words=("Señalización",), office="vias")])
    for text in ("senalizacion", "SEÑALIZACIÓN", unicodedata.normalize("NFD", "señalización"), "—“señalización”—"):
        assert router.office("any", text, None) == "vias"
    assert router.office("any", "señalizaciones", None) is None


def _slow(words: tuple[str, ...], text: str) -> bool:
    """The same question asked of regular expressions."""

    def plain(value: str) -> str:
        return "".join(
            character
            for character in unicodedata.normalize("NFD", value.lower())
            if not unicodedata.combining(character)
        )

    return any(
        re.search(r"(?<![^\W_])" + r"[\W_]+".join(map(re.escape, plain(word).split())) + r"(?![^\W_])", plain(text))
        for word in words
    )


_letters = st.text("abñÑáÁ", min_size=1, max_size=2)
_rows = st.lists(_letters, min_size=1, max_size=3).map(" ".join)


@given(
    st.lists(_rows, min_size=1, max_size=4).map(tuple),
    st.lists(st.one_of(_letters, st.sampled_from([*string.punctuation, " ", "\n", "—", "7"]))).map("".join),
)
def test_words_are_found_as_a_slow_search_finds_them(words: tuple[str, ...], text: str) -> None:
    router = Router([RoutingRule(words=words, office="found")])
    assert (router.office("any", text, None) == "found") == _slow(words, text)


def test_what_may_be_left_out_and_what_may_not(tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    shutil.copytree(BOGOTA, pack)
    for name in ("areas", "routing", "retention"):
        (pack / f"{name}.toml").unlink()
    jurisdiction = load(pack)
    assert [jurisdiction.areas, jurisdiction.routing, jurisdiction.retention] == [(), (), ()]
    assert jurisdiction.route("corruption_report", "soborno", None).code == "control-disciplinario"
    assert jurisdiction.retention_for("copies") is None

    for name in ("channels", "procedure", "reminders"):
        (pack / f"{name}.toml").unlink()
    for language, reason in (("es", "falta el archivo"), ("en", "the file is missing")):
        with pytest.raises(JurisdictionError) as caught:
            load(pack, language)
        assert caught.value.problems == tuple(
            f"{name}.toml: {reason}" for name in ("channels", "procedure", "reminders")
        )
