"""The two packs as they are, and what a person reads when one is broken."""

import json
import os
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tejido_shared.jurisdiction import (
    CountingPolicy,
    JurisdictionError,
    load,
    parse_receipt_number,
    receipt_number,
)

ROOT = Path(__file__).parents[2]
BOGOTA = ROOT / "jurisdictions" / "co-bogota"
TUCUMAN = ROOT / "jurisdictions" / "ar-tucuman"
PATTERN = "BOG-{year}-{sequence:06d}-{check}"

years = st.integers(2000, 2099)
sequences = st.integers(1, 9_999_999)


@pytest.fixture(scope="session")
def vectors() -> dict[str, Any]:
    path = Path(os.environ.get("TEJIDO_HANDOUTS", ROOT.parent / "shared")) / "vectors" / "deadlines.json"
    if not path.is_file():
        pytest.skip(f"{path} is not here; set TEJIDO_HANDOUTS")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize(("pack", "calendar"), [(BOGOTA, "CO"), (TUCUMAN, "AR-T")])
def test_closures_above_the_municipality_are_the_vectors_calendar(
    pack: Path, calendar: str, vectors: dict[str, Any]
) -> None:
    jurisdiction = load(pack)
    closures = jurisdiction.suspending_closures(jurisdiction.default_request_type.code)
    closed = {day for closure in closures if closure.scope != "municipality" for day in closure.days()}
    assert sorted(map(str, closed)) == sorted(vectors["calendars"][calendar]["closed"])


@pytest.mark.parametrize(
    ("pack", "request_type", "rule"),
    [
        (BOGOTA, "general_interest_petition", "co.general"),
        (BOGOTA, "copies", "co.info"),
        (BOGOTA, "consultation", "co.consulta"),
        (BOGOTA, "authority_information", "co.authority"),
        (BOGOTA, "congress_report", "co.congress"),
        (BOGOTA, "personal_data_query", "co.hd_query"),
        (BOGOTA, "personal_data_claim", "co.hd_claim"),
        (TUCUMAN, "claim", "ar.residual"),
        (TUCUMAN, "environmental_information", "ar.env_info"),
        (TUCUMAN, "personal_data_access", "ar.hd_access"),
        (TUCUMAN, "personal_data_rectification", "ar.hd_rectify"),
    ],
)
def test_terms_in_force_are_the_vectors_terms(
    pack: Path, request_type: str, rule: str, vectors: dict[str, Any]
) -> None:
    term = load(pack).term(request_type, date(2026, 11, 20))
    expected = vectors["terms"][rule]
    assert (term.unit, term.n, term.extension_max_added) == (
        expected["unit"],
        expected["n"],
        expected["extension_max_added"],
    )


def test_the_vectors_policy_is_a_counting_policy(vectors: dict[str, Any]) -> None:
    policy = CountingPolicy(**vectors["default_policy"])
    assert policy.cutoff.hour == 17
    assert load(BOGOTA).counting.receipt_rule == policy.receipt_rule == "same_day"


@pytest.mark.parametrize(
    ("received_on", "days"),
    [
        (date(2020, 3, 27), (15, 10, 30)),
        (date(2020, 3, 28), (30, 20, 35)),
        (date(2022, 5, 17), (30, 20, 35)),
        (date(2022, 5, 18), (15, 10, 30)),
    ],
)
def test_terms_follow_the_law_of_the_day_of_receipt(received_on: date, days: tuple[int, int, int]) -> None:
    bogota = load(BOGOTA)
    types = ("general_interest_petition", "information", "consultation")
    assert tuple(bogota.term(kind, received_on).n for kind in types) == days


def test_what_the_pack_does_not_have_is_a_lookup_error() -> None:
    bogota = load(BOGOTA)
    for kind, day in [
        ("information", date(2010, 1, 1)),
        ("oversight_request", date(2026, 1, 1)),
        ("no_such", date(2026, 1, 1)),
    ]:
        with pytest.raises(LookupError):
            bogota.term(kind, day)
    with pytest.raises(LookupError):
        bogota.suspending_closures("no_such")


def test_a_service_commitment_is_not_called_law() -> None:
    tucuman = load(TUCUMAN)
    day = date(2026, 11, 20)
    assert tucuman.term("information", day).kind == "service_commitment"
    assert tucuman.term("environmental_information", day).kind == "legal"
    assert len(tucuman.organization_types) == 7


@given(years, sequences)
def test_receipt_number_round_trips(year: int, sequence: int) -> None:
    number = receipt_number(PATTERN, year, sequence)
    assert parse_receipt_number(PATTERN, f" {number.lower()} ") == (year, sequence)


@given(years, sequences, st.data())
def test_one_changed_digit_is_detected(year: int, sequence: int, data: st.DataObject) -> None:
    number = receipt_number(PATTERN, year, sequence)
    at = data.draw(st.sampled_from([i for i, character in enumerate(number) if character.isdigit()]))
    digit = data.draw(st.sampled_from("0123456789"))
    assume(digit != number[at])
    with pytest.raises(ValueError):
        parse_receipt_number(PATTERN, number[:at] + digit + number[at + 1 :])


@given(years, sequences, st.data())
def test_two_swapped_neighbours_are_detected(year: int, sequence: int, data: st.DataObject) -> None:
    number = receipt_number(PATTERN, year, sequence)
    at = data.draw(st.integers(0, len(number) - 2))
    swapped = number[:at] + number[at + 1] + number[at] + number[at + 2 :]
    assume(swapped != number)
    with pytest.raises(ValueError):
        parse_receipt_number(PATTERN, swapped)


def test_neighbours_across_a_separator_count_as_neighbours() -> None:
    number = receipt_number(PATTERN, 2026, 123)
    year_end, sequence_start = number.index("6-"), number.index("6-") + 2
    characters = list(number)
    characters[year_end], characters[sequence_start] = characters[sequence_start], characters[year_end]
    with pytest.raises(ValueError):
        parse_receipt_number(PATTERN, "".join(characters))


def _broken(tmp_path: Path, file: str, old: str, new: str) -> Path:
    pack = tmp_path / "pack"
    shutil.copytree(BOGOTA, pack)
    text = (pack / file).read_text(encoding="utf-8")
    assert old in text
    (pack / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    return pack


ROW = "2024-01-01,2024-01-01,Año Nuevo,Ley 51 de 1983,country,yes,yes,,"
HEADER = "from,to,name,act,scope,suspends_terms,open_for_filing,except_types,declared_at\n"


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        pytest.param(
            "jurisdiction.toml",
            'code = "co-bogota"',
            "code = ",
            "jurisdiction.toml línea 2: error de escritura TOML (Invalid value)",
            id="syntax",
        ),
        pytest.param(
            "jurisdiction.toml",
            '"America/Bogota"',
            '"America/Macondo"',
            "jurisdiction.toml: time_zone: zona horaria desconocida; escríbala como America/Bogota",
            id="time zone",
        ),
        pytest.param(
            "jurisdiction.toml",
            '"es-CO"',
            '"es_XX"',
            "jurisdiction.toml: locale: idioma y región desconocidos; escríbalos como es-CO",
            id="locale",
        ),
        pytest.param(
            "jurisdiction.toml",
            '"1111100"',
            '"0000000"',
            "jurisdiction.toml: counting.weekdays: ningún día de la semana es hábil",
            id="no working day",
        ),
        pytest.param(
            "jurisdiction.toml",
            "{sequence:06d}",
            "{sequence}",
            "jurisdiction.toml: receipt_pattern: debe tener {year}, {sequence:06d} y al final {check}",
            id="receipt pattern",
        ),
        pytest.param(
            "jurisdiction.toml",
            'country = "CO"',
            'contry = "CO"',
            "jurisdiction.toml: contry: clave desconocida; revise cómo está escrita",
            id="misspelt key",
        ),
        pytest.param(
            "jurisdiction.toml",
            "2027, 2028]",
            "2027, 2028, 2029]",
            "jurisdiction.toml: confirmed_years: el año 2029 figura como confirmado y no tiene ningún cierre",
            id="confirmed year",
        ),
        pytest.param(
            "jurisdiction.toml",
            'verified_by = ""',
            'verified_by = "Oficina Jurídica"',
            "jurisdiction.toml: verified_by y verified_at van juntos",
            id="verification",
        ),
        pytest.param(
            "roles.toml",
            '"citizen"',
            '"ciudadano"',
            "roles.toml: role[0] \"ciudadania\".role: debe ser uno de 'citizen'",
            id="role",
        ),
        pytest.param(
            "roles.toml",
            'group = "registro"',
            'group = "registro("',
            'roles.toml: role[4] "registro(".group: expresión regular no válida (',
            id="regex",
        ),
        pytest.param(
            "roles.toml",
            "funcionario:(?P<office>[a-z0-9-]+)",
            "funcionario",
            'roles.toml: role[2] "funcionario": este rol necesita la dependencia',
            id="office role without office",
        ),
        pytest.param(
            "offices.toml",
            'code = "gerencia-proyectos"',
            'code = "atencion-ciudadania"',
            'offices.toml: office[1] "atencion-ciudadania".code: código repetido',
            id="repeated code",
        ),
        pytest.param(
            "offices.toml",
            "default = true",
            "default = false",
            "offices.toml: office: debe haber exactamente uno con default = true; hay 0",
            id="no default",
        ),
        pytest.param(
            "offices.toml",
            "gerencia-proyectos@idpac.example.org",
            "gerencia-proyectos",
            'offices.toml: office[1] "gerencia-proyectos".email: no es una dirección de correo',
            id="email",
        ),
        pytest.param(
            "organization_types.toml",
            '["CO-NIT", "CO-PERSONERIA", "BOG-IDPAC"]',
            '["AR-CUIT"]',
            'organization_types.toml: organization_type[0] "community_action_board".identifier_schemes: '
            "identificador desconocido: AR-CUIT",
            id="identifier scheme",
        ),
        pytest.param(
            "organization_types.toml",
            "grade = 1",
            "grade = 5",
            'organization_types.toml: organization_type[0] "community_action_board".grade: debe ser como máximo 4',
            id="grade",
        ),
        pytest.param(
            "request_types.toml",
            "n = 15",
            "n = 0",
            'request_types.toml: request_type[0] "general_interest_petition".terms[0].n: debe ser al menos 1',
            id="days",
        ),
        pytest.param(
            "request_types.toml",
            "n = 15",
            'n = "15"',
            'request_types.toml: request_type[0] "general_interest_petition".terms[0].n: debe ser un número entero',
            id="days as text",
        ),
        pytest.param(
            "request_types.toml",
            'article = "Ley 1755 de 2015, art. 14 inc. 1"\n',
            "",
            'request_types.toml: request_type[0] "general_interest_petition".terms[0].article: falta este valor',
            id="missing article",
        ),
        pytest.param(
            "request_types.toml",
            "valid_to = 2020-03-28",
            "valid_to = 2020-03-29",
            'request_types.toml: request_type[0] "general_interest_petition": dos términos valen el 2020-03-28',
            id="overlap",
        ),
        pytest.param(
            "request_types.toml",
            "valid_to = 2020-03-28",
            "valid_to = 2020-03-27",
            'request_types.toml: request_type[0] "general_interest_petition": '
            "ningún término vale desde el 2020-03-27 y antes del 2020-03-28",
            id="gap",
        ),
        pytest.param(
            "request_types.toml",
            "valid_to = 2020-03-28",
            "valid_to = 2015-06-30",
            'request_types.toml: request_type[0] "general_interest_petition".terms[0]: '
            "el comienzo (2015-06-30) debe ser anterior al fin (2015-06-30)",
            id="empty validity",
        ),
        pytest.param(
            "request_types.toml",
            'default_office = "control-disciplinario"',
            'default_office = "control"',
            'request_types.toml: request_type[5] "corruption_report".default_office: dependencia desconocida: control',
            id="unknown office",
        ),
        pytest.param(
            "request_types.toml",
            'due_date = "typed"\n',
            "",
            'request_types.toml: request_type[14] "oversight_request": no tiene términos',
            id="no terms",
        ),
        pytest.param(
            "closures.csv",
            ROW,
            ROW.replace("yes,yes", ",yes"),
            "closures.csv línea 7: suspends_terms: diga yes o no (no hay valor por defecto)",
            id="suspends",
        ),
        pytest.param(
            "closures.csv",
            ROW,
            ROW.replace("2024-01-01", "01/01/2024", 1),
            "closures.csv línea 7: from: escriba el día así: 2026-12-31",
            id="day",
        ),
        pytest.param(
            "closures.csv",
            ROW,
            ROW.replace("2024-01-01", "2024-01-02", 1),
            "closures.csv línea 7: el comienzo (2024-01-02) debe ser anterior al fin (2024-01-01)",
            id="from after to",
        ),
        pytest.param(
            "closures.csv",
            ROW,
            ROW.replace("2024-01-01,Año", "2204-01-01,Año"),
            "closures.csv línea 7: dura más de 366 días; revise el año",
            id="too long",
        ),
        pytest.param(
            "closures.csv",
            ROW,
            ROW.replace("Ley 51 de 1983", "Ley 51, de 1983"),
            "closures.csv línea 7: hay más celdas que columnas",
            id="extra cell",
        ),
        pytest.param(
            "closures.csv",
            ROW,
            ROW.replace("yes,yes,,", "yes,yes,copies copias,"),
            "closures.csv línea 7: except_types: tipo de petición desconocido: copias",
            id="exception",
        ),
        pytest.param(
            "closures.csv", ROW, f"{ROW}\n{ROW}", "closures.csv línea 8: repite la línea 7", id="repeated row"
        ),
        pytest.param(
            "closures.csv",
            "suspends_terms,",
            "suspende,",
            "closures.csv línea 1: falta la columna suspends_terms",
            id="column",
        ),
        pytest.param(
            "jurisdiction.toml",
            '"BOG-S-{year}-{sequence:06d}-{check}"',
            '"BOG-{year}-{sequence:04d}-{check}"',
            "jurisdiction.toml: receipt_pattern y answer_pattern podrían dar el mismo número",
            id="same series",
        ),
        pytest.param(
            "jurisdiction.toml",
            "BOG-S-{year}-",
            "BOG-S-",
            "jurisdiction.toml: answer_pattern: debe tener {year}",
            id="answer pattern",
        ),
        pytest.param(
            "channels.toml",
            'code = "phone"',
            'code = "counter"',
            'channels.toml: channel[2] "counter".code: código repetido',
            id="repeated channel",
        ),
        pytest.param(
            "channels.toml",
            "verbal = true\n",
            "",
            'channels.toml: channel[1] "counter".verbal: falta este valor',
            id="verbal not said",
        ),
        pytest.param(
            "areas.toml",
            'code = "chapinero"',
            'code = "usaquen"',
            'areas.toml: area[1] "usaquen".code: código repetido',
            id="repeated area",
        ),
        pytest.param(
            "areas.toml",
            'code = "usaquen"',
            'code = "Usaquén"',
            'areas.toml: area[0] "Usaquén".code: use solo minúsculas sin acento',
            id="area code",
        ),
        pytest.param(
            "procedure.toml",
            'unit = "months"',
            'unit = "meses"',
            "procedure.toml: complete.unit: debe ser uno de 'business_days', 'calendar_days', 'months'",
            id="procedure unit",
        ),
        pytest.param(
            "procedure.toml",
            "[transfer]",
            "[traslado]",
            "procedure.toml: traslado: clave desconocida",
            id="procedure clock",
        ),
        pytest.param(
            "procedure.toml",
            "draft_before_due = 3",
            "draft_before_due = 0",
            "procedure.toml: targets: el borrador no puede ser para después de la aprobación",
            id="draft after approval",
        ),
        pytest.param(
            "procedure.toml",
            "approve_before_due = 1",
            "approve_before_due = -1",
            "procedure.toml: targets.approve_before_due: debe ser al menos 0",
            id="target below zero",
        ),
        pytest.param(
            "procedure.toml",
            "closes = 16:30:00",
            "closes = 06:30:00",
            "procedure.toml: office_hours: el comienzo (07:00:00) debe ser anterior al fin (06:30:00)",
            id="office hours",
        ),
        pytest.param(
            "procedure.toml",
            "closes = 16:30:00",
            'closes = "tarde"',
            'procedure.toml: office_hours.closes: escriba la hora así: "17:00"',
            id="office hour",
        ),
        pytest.param(
            "procedure.toml",
            "direccion-general@idpac.example.org",
            "direccion-general",
            "procedure.toml: authority_email: no es una dirección de correo",
            id="authority",
        ),
        pytest.param(
            "procedure.toml",
            '[ask_for_completion]\nunit = "business_days"\nn = 10\narticle = "Ley 1755 de 2015, art. 17"\nkind = "legal"\n',
            "",
            "reminders.toml: reminder[6].clock: este reloj no corre aquí: procedure.toml no tiene ask_for_completion",
            id="clock without term",
        ),
        pytest.param(
            "reminders.toml",
            "days = 5",
            "days = 3",
            "reminders.toml: reminder[4]: mismo clock y mismos days que reminder[3]",
            id="repeated reminder",
        ),
        pytest.param(
            "reminders.toml",
            "days = 5",
            'days = "5"',
            'reminders.toml: reminder[4].days: diga un número entero de días o "due_soon"',
            id="reminder days",
        ),
        pytest.param(
            "reminders.toml",
            'clock = "draft"\ndays = 0',
            'clock = "draft"\ndays = "due_soon"',
            'reminders.toml: reminder[8]: "due_soon" es solo para el reloj answer',
            id="due soon",
        ),
        pytest.param(
            "reminders.toml",
            '["assignee", "head"]',
            '["head", "head"]',
            "reminders.toml: reminder[1]: destinatario repetido en to",
            id="repeated addressee",
        ),
        pytest.param(
            "reminders.toml",
            '["assignee", "head"]',
            "[]",
            "reminders.toml: reminder[1].to: debe tener al menos 1",
            id="nobody told",
        ),
        pytest.param(
            "reminders.toml",
            '["assignee", "head"]',
            '["jefe"]',
            "reminders.toml: reminder[1].to[0]: debe ser uno de 'assignee'",
            id="addressee",
        ),
        pytest.param(
            "routing.toml",
            'office = "control-disciplinario"',
            'office = "control"',
            "routing.toml: rule[0].office: dependencia desconocida: control",
            id="routing office",
        ),
        pytest.param(
            "routing.toml",
            '["complaint", "claim"]',
            '["queja"]',
            "routing.toml: rule[0].types: tipo de petición desconocido: queja",
            id="routing type",
        ),
        pytest.param(
            "routing.toml",
            '["complaint", "claim"]',
            '["complaint"]\nareas = ["macondo"]',
            "routing.toml: rule[0].areas: zona desconocida: macondo",
            id="routing area",
        ),
        pytest.param(
            "routing.toml",
            '"soborno",',
            '"¡!",',
            "routing.toml: rule[0].words[0]: no es una palabra",
            id="routing word",
        ),
        pytest.param(
            "routing.toml",
            '"soborno",',
            '"Łódź",',
            "routing.toml: rule[0].words[0]: no es una palabra, o tiene letras fuera del alfabeto latino",
            id="routing letters",
        ),
        pytest.param(
            "routing.toml",
            "[[rule]]\ntypes",
            '[[rule]]\noffice = "asuntos-comunales"\n\n[[rule]]\ntypes',
            "routing.toml: rule[0]: no tiene condición; diga types, words o areas",
            id="routing condition",
        ),
        pytest.param(
            "retention.toml",
            '"commendation", "suggestion"',
            '"commendation", "copias"',
            "retention.toml: rule[1].types: tipo de petición desconocido: copias",
            id="retention type",
        ),
        pytest.param(
            "retention.toml",
            '"commendation", "suggestion"',
            '"corruption_report"',
            "retention.toml: rule[1].types: otra regla ya dice el tipo corruption_report",
            id="retention twice",
        ),
        pytest.param(
            "retention.toml",
            'types = ["commendation", "suggestion"]\n',
            "",
            "retention.toml: rule[2].types: solo una regla puede ir sin types",
            id="two general rules",
        ),
        pytest.param(
            "retention.toml",
            "after_months = 60",
            "after_months = 0",
            "retention.toml: rule[2].after_months: debe ser al menos 1",
            id="retention months",
        ),
        pytest.param(
            "request_types.toml",
            "sobre «{subject}»",
            "sobre «{asunto}»",
            'request_types.toml: request_type[0] "general_interest_petition".response_template: '
            "entre llaves solo puede decir {number}, {subject}",
            id="placeholder",
        ),
        pytest.param(
            "request_types.toml",
            "sobre «{subject}»",
            "sobre «{subject»",
            'request_types.toml: request_type[0] "general_interest_petition".response_template: entre llaves',
            id="open brace",
        ),
        pytest.param(
            "request_types.toml",
            "sobre «{subject}»",
            "sobre «{subject!r}»",
            'request_types.toml: request_type[0] "general_interest_petition".response_template: entre llaves',
            id="conversion",
        ),
        pytest.param(
            "request_types.toml",
            'code = "happened_on"',
            'code = "against"',
            'request_types.toml: request_type[2] "complaint".fields[1] "against".code: código repetido',
            id="repeated field",
        ),
        pytest.param(
            "request_types.toml",
            'kind = "date"',
            'kind = "fecha"',
            'request_types.toml: request_type[2] "complaint".fields[1] "happened_on".kind: debe ser uno de \'text\'',
            id="field kind",
        ),
        pytest.param(
            "request_types.toml",
            'kind = "date"',
            'kind = "choice"',
            'request_types.toml: request_type[2] "complaint".fields[1] "happened_on": un campo choice lleva choices',
            id="choices missing",
        ),
        pytest.param(
            "request_types.toml",
            'kind = "choice"',
            'kind = "text"',
            'request_types.toml: request_type[7] "information".fields[1] "format": solo un campo choice lleva choices',
            id="choices unasked",
        ),
        pytest.param(
            "request_types.toml",
            '"Correo electrónico", "Copia en papel"',
            '"Copia en papel", "Copia en papel"',
            'request_types.toml: request_type[7] "information".fields[1] "format": respuesta repetida en choices',
            id="repeated choice",
        ),
        pytest.param("texts.toml", "greeting", "saludo", "texts.toml: greeting: falta este valor", id="text"),
    ],
)
def test_a_broken_pack_says_where_and_why(tmp_path: Path, file: str, old: str, new: str, problem: str) -> None:
    with pytest.raises(JurisdictionError) as caught:
        load(_broken(tmp_path, file, old, new))
    assert any(line.startswith(problem) for line in str(caught.value).splitlines()), caught.value


def test_some_channel_is_open_to_all(tmp_path: Path) -> None:
    pack = _broken(tmp_path, "channels.toml", "public = true", "public = false")
    channels = pack / "channels.toml"
    channels.write_text(channels.read_text("utf-8").replace("public = true", "public = false"), "utf-8")
    with pytest.raises(JurisdictionError, match="debe haber al menos un canal activo con public = true"):
        load(pack)


def test_all_problems_are_told_at_once_in_the_language_asked_for(tmp_path: Path) -> None:
    pack = _broken(tmp_path, "closures.csv", ROW, ROW.replace("yes,yes", "maybe,yes"))
    (pack / "offices.toml").unlink()
    (pack / "texts.toml").write_bytes("saludo = 'señor'".encode("cp1252"))
    (pack / "messages" / "Aviso.txt").write_text("…", encoding="utf-8")
    with pytest.raises(JurisdictionError) as caught:
        load(pack, "en")
    assert caught.value.problems == (
        "offices.toml: the file is missing",
        "texts.toml: is not UTF-8; save it in that encoding",
        "closures.csv line 7: suspends_terms: say yes or no (there is no default)",
        "messages/Aviso.txt: unknown name; it must be like requests_submitted.es.txt",
    )


def test_a_calendar_without_rows_is_refused_where_years_are_confirmed(tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    shutil.copytree(BOGOTA, pack)
    (pack / "closures.csv").write_text(HEADER, encoding="utf-8")
    with pytest.raises(JurisdictionError, match="el año 2024 figura como confirmado y no tiene ningún cierre"):
        load(pack)


def test_a_spreadsheet_may_write_semicolons_and_a_byte_order_mark(tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    shutil.copytree(BOGOTA, pack)
    (pack / "closures.csv").write_text(
        HEADER.replace(",", ";")
        + "".join(
            f"{year}-01-01;{year}-01-01;Año Nuevo;Ley 51, de 1983;country;SÍ;no;copies;\n" for year in range(2024, 2029)
        ),
        encoding="utf-8-sig",
        newline="\r\n",
    )
    jurisdiction = load(pack)
    assert len(jurisdiction.suspending_closures("information")) == 5
    assert jurisdiction.suspending_closures("copies") == ()
    assert not jurisdiction.closures[0].open_for_filing
    assert jurisdiction.calendar_version != load(BOGOTA).calendar_version
    assert jurisdiction.terms_version == load(BOGOTA).terms_version


def test_a_municipality_replaces_a_mail_text(tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    shutil.copytree(BOGOTA, pack)
    (pack / "messages" / "requests_submitted.es.txt").write_text("Recibimos su petición.", encoding="utf-8")
    assert load(pack).messages == {"requests_submitted.es.txt": "Recibimos su petición."}


def test_every_problem_has_its_text_in_both_languages() -> None:
    from tejido_shared.jurisdiction.loading import _catalogue

    assert _catalogue("es").keys() == _catalogue("en").keys()
    assert all([*_catalogue("es").values(), *_catalogue("en").values()])
