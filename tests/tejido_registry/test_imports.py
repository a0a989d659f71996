"""Other registers, brought in twice, broken, and real."""

import argparse
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tejido_registry.app import create_app
from tejido_registry.db import database, tx
from tejido_registry.events import HANDLERS
from tejido_registry.imports import commands, running
from tejido_registry.models import ExternalReference, HistoryEntry, Organization
from tejido_registry.settings import settings
from tejido_shared import seam
from tejido_shared.db import Database
from tejido_shared.manage import main
from tejido_shared.testing import Issuer

MAPPING: dict[str, Any] = {
    "columns": {"name": "Nombre", "address": "Dirección", "territory": "Localidad", "email": "Correo"},
    "identifiers": {"CO-NIT": "NIT"},
    "check_digits": {"CO-NIT": "DV"},
    "constants": {"organization_type": "social_organization"},
    "key": ["Registro"],
}
HEADER = ["Registro", "Nombre", "Dirección", "Localidad", "Correo", "NIT", "DV"]
ROWS = [
    ["0019", "Corporación Niñez", "Calle 1 # 2-03", "Suba", "", "900123456", "8"],
    ["0020", "Peña El Ñandú", "Carrera 7", "Usaquén", "pena@example.org", "", ""],
]


@pytest.fixture
def api(databases: dict[str, Database]) -> Iterator[TestClient]:
    with TestClient(create_app(), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def registrar(issuer: Issuer) -> dict[str, str]:
    return issuer.headers("registro", sub="registradora-1")


def _csv(rows: list[list[str]], delimiter: str = ";") -> str:
    return "\r\n".join(delimiter.join(row) for row in [HEADER, *rows]) + "\r\n"


def _xlsx(rows: list[list[object]], far: str = "") -> bytes:
    """The least that is a workbook: no library of the project writes one yet."""
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    package = "http://schemas.openxmlformats.org/package/2006"

    def cell(at: str, value: object) -> str:
        if isinstance(value, int | float):
            return f'<c r="{at}"><v>{value}</v></c>'
        return f'<c r="{at}" t="inlineStr"><is><t>{escape(str(value))}</t></is></c>'

    sheet = "".join(
        f'<row r="{r}">' + "".join(cell(f"{chr(64 + c)}{r}", value) for c, value in enumerate(row, 1)) + "</row>"
        for r, row in enumerate(rows, 1)
    )
    if far:
        sheet += f'<row r="1048576">{cell(far, "x")}</row>'
    types = "".join(
        f'<Override PartName="/xl/{part}.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.{kind}+xml"/>'
        for part, kind in (("workbook", "sheet.main"), ("worksheets/sheet1", "worksheet"))
    )

    def relation(kind: str, target: str) -> str:
        inner = f'<Relationship Id="r1" Type="{office}/{kind}" Target="{target}"/>'
        return f'<Relationships xmlns="{package}/relationships">{inner}</Relationships>'

    sheets = '<sheets><sheet name="Hoja" sheetId="1" r:id="r1"/></sheets>'
    rels = '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">{rels}{types}</Types>',
        "_rels/.rels": relation("officeDocument", "xl/workbook.xml"),
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}">{sheets}</workbook>',
        "xl/_rels/workbook.xml.rels": relation("worksheet", "worksheets/sheet1.xml"),
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{sheet}</sheetData></worksheet>',
    }
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, '<?xml version="1.0" encoding="UTF-8"?>' + content)
    return data.getvalue()


def _post(
    api: TestClient, headers: dict[str, str], data: bytes | str, mapping: dict[str, Any] | None = None, **form: Any
) -> Any:
    data = data.encode() if isinstance(data, str) else data
    form = {"source": "padrón", "mapping": json.dumps(mapping or MAPPING)} | form
    return api.post("/v1/imports", files={"file": ("f", data)}, data=form, headers=headers)


def _report(*args: Any, **form: Any) -> dict[str, Any]:
    answer = _post(*args, **form)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def _counts(report: dict[str, Any]) -> tuple[int, ...]:
    return tuple(report[name] for name in ("created", "changed", "unchanged", "repeated", "rejected"))


def _problems(report: dict[str, Any]) -> list[tuple[int, str, str]]:
    return [(problem["row"], problem["field"], problem["code"]) for problem in report["problems"]]


def _stored() -> dict[str, int]:
    with tx() as session:
        tables = {"organizations": Organization, "references": ExternalReference, "history": HistoryEntry}
        counts = {n: session.scalar(sa.select(sa.func.count()).select_from(t)) or 0 for n, t in tables.items()}
        return counts | {
            "events": session.scalar(
                sa.select(sa.func.count()).select_from(seam.outbox).where(seam.outbox.c.subscriber == "projects")
            )
            or 0
        }


NOTHING = {"organizations": 0, "references": 0, "history": 0, "events": 0}


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(_csv(ROWS).encode(), id="semicolons"),
        pytest.param(_csv(ROWS, ",").encode("utf-8-sig"), id="commas and BOM"),
        pytest.param(_csv(ROWS, "\t").encode("latin-1"), id="tabs and Latin-1"),
        pytest.param(_xlsx([HEADER, *ROWS]), id="workbook"),
    ],
)
def test_every_kind_of_file_twice(api: TestClient, registrar: dict[str, str], data: bytes) -> None:
    dry = _report(api, registrar, data, dry_run=True)
    assert (_counts(dry), dry["applied"], _stored()) == ((2, 0, 0, 0, 0), False, NOTHING)
    first = _report(api, registrar, data)
    assert (_counts(first), first["applied"], first["problems"]) == ((2, 0, 0, 0, 0), True, [])
    after = _stored()
    assert after == {"organizations": 2, "references": 2, "history": 2, "events": 2}
    assert _counts(_report(api, registrar, data)) == (0, 0, 2, 0, 0)
    assert _stored() == after
    items = api.get("/v1/organizations").json()["items"]
    assert [item["name"] for item in items] == ["Corporación Niñez", "Peña El Ñandú"]
    assert items[0]["identifiers"] == [{"scheme": "CO-NIT", "value": "900123456", "check_digit": "8"}]
    assert [item["number"][:14] for item in items] == [f"ORG-{items[0]['number'][4:8]}-0000{n}" for n in (1, 2)]


def test_what_changed_at_the_source_and_what_was_corrected_here(api: TestClient, registrar: dict[str, str]) -> None:
    _report(api, registrar, _csv(ROWS))
    [first, second] = api.get("/v1/organizations").json()["items"]
    here = {"address": "Calle 1 # 2-05", "contacts": [{"email": "aqui@example.org"}]}
    for one in (first, second):
        corrected = api.patch(f"/v1/organizations/{one['id']}", json=here, headers=registrar | {"If-Match": "*"})
        assert corrected.status_code == 200
    events = _stored()["events"]
    rows = [ROWS[0], ["0020", "Peña Ñandú", "", "Usaquén", "otra@example.org", "", ""]]
    assert _counts(_report(api, registrar, _csv(rows), dry_run=True)) == (0, 1, 1, 0, 0)
    assert _counts(_report(api, registrar, _csv(rows))) == (0, 1, 1, 0, 0)
    assert _counts(_report(api, registrar, _csv(rows))) == (0, 0, 2, 0, 0)
    assert _stored()["events"] == events + 1
    seen = [api.get(f"/v1/organizations/{one['id']}", headers=registrar).json() for one in (first, second)]
    assert [one["address"] for one in seen] == ["Calle 1 # 2-05"] * 2  # neither an old row nor an empty cell undoes it
    assert seen[1]["name"] == "Peña Ñandú"
    assert [contact["email"] for contact in seen[1]["contacts"]] == ["aqui@example.org", "otra@example.org"]


def test_bad_rows_are_reported_and_good_ones_imported(api: TestClient, registrar: dict[str, str]) -> None:
    rows = [
        *ROWS,
        ["0021", "", "", "", "", "", ""],
        ["0022", "Sin dígito", "", "", "", "900123457", ""],
        ["0023", "Mal correo", "", "", "nadie", "", ""],
        ["0024", "a\x00b", "", "", "", "", ""],
        ["0025", "=HYPERLINK(1)", "", "", "", "", ""],
        ["0026", "Corta"],
        ["", "Sin clave", "", "", "", "", ""],
        ["0027", "Una", "Calle 1", "", "", "", ""],
        ["0027", "Otra", "Calle 2", "", "", "", ""],
        ["0020", "Peña el Ñandú", "Carrera 7", "Usaquén", "pena@example.org", "", ""],
        ["0028", "Mismo NIT", "", "", "", "900123455", "0"],
        ["0029", "Mismo NIT dos", "", "", "", "900.123.455", "0"],
        ["0030", "Corporación Niñez", "Otra calle", "Suba", "", "", ""],
    ]
    data = _csv(rows)
    report = _report(api, registrar, data)
    assert _problems(report) == [
        (4, "name", "missing"),
        (5, "identifiers.0.check_digit", "check_digit_missing"),
        (6, "contacts.0.email", "value_error"),
        (7, "name", "string_pattern_mismatch"),
        (8, "name", "formula"),
        (9, "", "cell_count"),
        (10, "key", "key_missing"),
        (11, "key", "key_repeated"),
        (12, "key", "key_repeated"),
        (13, "key", "row_repeated"),
        (14, "identifiers", "number_repeated"),
        (15, "identifiers", "number_repeated"),
        (16, "name", "name_repeated"),
    ]
    assert _counts(report) == (4, 0, 0, 1, 10)
    assert report["problems"][1]["reason"] == "Falta el dígito de verificación."
    english = _report(api, registrar | {"Accept-Language": "en"}, data, dry_run=True)
    assert english["problems"][1]["reason"] == "The check digit is missing."
    assert _counts(_report(api, registrar, data)) == (0, 0, 4, 1, 10)
    taken = ["0031", "NIT ajeno", "", "", "", "900123456-8", ""]
    assert _problems(_report(api, registrar, _csv([taken]))) == [(2, "identifiers.0.value", "identifier_taken")]


def test_all_or_nothing(api: TestClient, registrar: dict[str, str]) -> None:
    data = _csv([*ROWS, ["0021", "", "", "", "", "", ""]])
    report = _report(api, registrar, data, all_or_nothing=True)
    assert (report["applied"], _counts(report), _stored()) == (False, (2, 0, 0, 0, 1), NOTHING)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "file_empty"),
        (b"\r\n;;;\r\n", "file_empty"),
        (b"%PDF-1.7\n" + bytes(range(32)) * 20, "not_a_table"),
        (_csv(ROWS).encode("utf-16"), "not_a_table"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 3, "not_a_table"),
        (_csv(ROWS).encode() + "Niñez".encode("latin-1"), "encoding_mixed"),
        (b"Registro;Nombre\r\n1;Uno\r\n", "column_missing"),
        (("Padrón;;;;;;\r\n" + _csv(ROWS)).encode(), "header_below"),
        (_csv([HEADER, *ROWS]).encode(), "header_repeated"),
        (_csv(ROWS).replace("DV", "NIT").encode(), "column_missing"),
        ((_csv(ROWS).replace("DV", "DV;DV")).encode(), "column_repeated"),
        ((_csv(ROWS) + '0021;"sin cerrar;;;;;\r\n').encode(), "csv_syntax"),
        (_xlsx([HEADER, *ROWS])[:400], "workbook"),
        (_xlsx([HEADER, *ROWS]).replace(b"xl/workbook", b"xl/wrkbook_"), "not_a_table"),
        (_xlsx([HEADER, *ROWS], far="XFD1048576"), "workbook_huge"),
        (_xlsx([]), "file_empty"),
    ],
)
def test_broken_files_change_nothing(api: TestClient, registrar: dict[str, str], data: bytes, code: str) -> None:
    answer = _post(api, registrar, data)
    assert answer.status_code == 422, answer.text
    [error] = answer.json()["errors"]
    assert (error["field"], error["code"]) == ("body.file", code)
    assert error["reason"] not in ("", f"field.{code}")
    assert "{" not in error["reason"]
    assert _stored() == NOTHING


def test_mappings_that_cannot_be_used(api: TestClient, registrar: dict[str, str]) -> None:
    for mapping, field in (
        ({"columns": {"address": "Dirección"}, "constants": {"organization_type": "x"}}, "body.mapping.columns"),
        ({"columns": {"name": "Nombre"}}, "body.mapping.constants"),
        (MAPPING | {"identifiers": {"AR-CUIT": "NIT"}, "check_digits": {}}, "body.mapping.identifiers.AR-CUIT"),
        (MAPPING | {"columns": {"nombre": "Nombre"}}, "body.mapping.columns.nombre.[key]"),
        (MAPPING | {"más": 1}, "body.mapping.más"),
    ):
        answer = _post(api, registrar, _csv(ROWS), mapping)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert _post(api, registrar, _csv(ROWS), mapping="{").status_code == 422
    assert _stored() == NOTHING


def test_limits(api: TestClient, registrar: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings(), "import_rows", 1)
    assert _post(api, registrar, _csv(ROWS)).json()["errors"][0]["code"] == "too_many_rows"
    answer = _post(api, registrar, b"x" * settings().import_megabytes * 1_000_000)
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:tejido:problem:too_large")
    assert _post(api, registrar, b"x" * 200_000).json()["errors"][0]["code"] == "csv_syntax"


def test_one_import_at_a_time(api: TestClient, registrar: dict[str, str]) -> None:
    with running.alone(database):
        answer = _post(api, registrar, _csv(ROWS))
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:tejido:problem:import_running")
        assert _report(api, registrar, _csv(ROWS), dry_run=True)["created"] == 2
    assert _report(api, registrar, _csv(ROWS))["created"] == 2


def test_only_some_rows_decimal_commas_and_workbook_numbers(api: TestClient, registrar: dict[str, str]) -> None:
    header: list[object] = ["nombre", "provincia", "lat", "long", "código"]
    rows: list[list[object]] = [header, ["Una", "Tucumán", -26.8, "-65,2", 5001], ["Otra", "Salta", 1, 2, "0005"]]
    mapping = {
        "columns": {"name": "nombre", "latitude": "lat", "longitude": "long", "locality": "código"},
        "constants": {"organization_type": "Fundación"},
        "only": {"provincia": "Tucumán"},
    }
    rows.append(["Mal", "Tucumán", "S/D", "-65,2", ""])
    report = _report(api, registrar, _xlsx(rows), mapping)
    assert (report["rows"], report["created"], _problems(report)) == (2, 1, [(4, "latitude", "float_type")])
    [item] = api.get("/v1/organizations", headers=registrar).json()["items"]
    assert (item["latitude"], item["longitude"], item["locality"]) == (-26.8, -65.2, "5001")
    assert item["organization_type"] == "foundation"


LIBRARIES = """
key = ["nro_registro"]
[columns]
name = "biblioteca"
address = "domicilio"
locality = "localidad"
territory = "departamento"
latitude = "lat"
longitude = "long"
[identifiers]
CO-PERSONERIA = "nro_registro"
[constants]
organization_type = "social_organization"
"""
ASSOCIATIONS = """
[columns]
name = "ASOCIACION"
public_name = "SIGLAS"
address = "DOMICILIO"
territory = "DISTRITO"
[constants]
organization_type = "social_organization"
locality = "Alcalá de Henares"
"""


@pytest.mark.parametrize(
    ("file", "mapping", "counts"),
    [
        ("bibliotecas_populares.csv", LIBRARIES, (1475, 0, 0, 0, 0)),
        # 52 lines repeat an association in another class; one association is in two districts, so a person must tell.
        ("asociaciones_alcala.csv", ASSOCIATIONS, (497, 0, 0, 52, 3)),
    ],
)
def test_real_registers_by_the_command(
    databases: dict[str, Database],
    handouts: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    file: str,
    mapping: str,
    counts: tuple[int, ...],
) -> None:
    path = tmp_path / "mapping.toml"
    path.write_text(mapping, "utf-8")

    def run(*options: str) -> dict[str, Any]:
        register = str(handouts / "data" / "organizations" / file)
        command = ["import", register, "--source", "datos abiertos", "--mapping", str(path), "--json", *options]
        status = main(
            "registry",
            settings=settings,
            database=database,
            handlers=HANDLERS,
            create_app=create_app,
            extra=commands.add,
            argv=command,
        )
        report = dict(json.loads(capsys.readouterr().out))
        assert status == (0 if report["applied"] or "--dry-run" in options else 1)
        return report

    assert _counts(run("--dry-run")) == counts
    if counts[-1]:
        assert not run("--all-or-nothing")["applied"]
    assert _stored() == NOTHING
    assert _counts(run()) == counts
    after = _stored()
    assert after == dict.fromkeys(NOTHING, counts[0])
    assert _counts(run()) == (0, 0, counts[0], *counts[3:])
    assert _stored() == after


def test_the_command_says_what_is_wrong(
    databases: dict[str, Database], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, broken, register = tmp_path / "a.json", tmp_path / "b.toml", tmp_path / "c.csv"
    good.write_text(json.dumps(MAPPING), "utf-8")
    broken.write_text("key = [", "utf-8")
    register.write_text(_csv([*ROWS, ["0021", "", "", "", "", "", ""]]), "utf-8")

    def run(file: Path, mapping: Path) -> tuple[int, str, str]:
        command = ["import", str(file), "--source", "x", "--mapping", str(mapping)]
        parser = argparse.ArgumentParser()
        commands.add(parser.add_subparsers())
        arguments = parser.parse_args(command)
        return arguments.run(arguments), *capsys.readouterr()

    status, report, counts = run(register, good)
    assert (status, report) == (0, "4\trechazada\tname\tFalta este dato.\n")
    assert counts == "x: 3 filas; 2 altas, 0 cambios, 0 sin cambios, 0 repetidas, 1 rechazadas\n"
    for file, mapping in ((tmp_path / "none.csv", good), (good, good), (register, broken)):
        status, report, complaint = run(file, mapping)
        assert (status, report) == (1, "")
        assert complaint
