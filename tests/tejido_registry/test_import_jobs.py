"""Mappings guessed and kept, imports that run on in the background, and those that were killed."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tejido_local.bench import organizations
from tejido_registry.app import create_app
from tejido_registry.db import database, tx
from tejido_registry.imports import files, guessing, jobs, running, tasks
from tejido_registry.imports.tables import Unreadable
from tejido_registry.models import Contact, ExternalReference, HistoryEntry, Identifier, ImportJob, Organization
from tejido_registry.settings import settings
from tejido_shared import jurisdiction, seam
from tejido_shared.db import Database
from tejido_shared.testing import Issuer, empty, wait_until

ROOT = Path(__file__).parent.parent.parent
ROWS = 3400
"""Of a long register: four batches, the last one not full."""


@pytest.fixture
def api(databases: dict[str, Database]) -> Iterator[TestClient]:
    with TestClient(create_app(), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def registrar(issuer: Issuer) -> dict[str, str]:
    return issuer.headers("registro", sub="registradora-1")


@pytest.fixture(scope="session")
def register(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("register") / "register.csv"
    organizations.write(path, ROWS)
    return path.read_bytes()


def _csv(*rows: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _post(api: TestClient, path: str, headers: dict[str, str], data: bytes, **form: Any) -> Any:
    form = {name: json.dumps(said) if isinstance(said, dict) else said for name, said in form.items()}
    return api.post(f"/v1/{path}", files={"file": ("f", data)}, data={"source": "padrón"} | form, headers=headers)


def _job(api: TestClient, headers: dict[str, str], data: bytes, **form: Any) -> dict[str, Any]:
    answer = _post(api, "import-jobs", headers, data, **({"mapping": organizations.MAPPING} | form))
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def _see(api: TestClient, headers: dict[str, str], job: dict[str, Any]) -> dict[str, Any]:
    return dict(api.get(f"/v1/import-jobs/{job['id']}", headers=headers).json())


def _counts(report: dict[str, Any]) -> tuple[int, ...]:
    return tuple(report[name] for name in ("created", "changed", "unchanged", "repeated", "rejected"))


def _content() -> dict[str, Any]:
    """All that an import writes, but for keys and instants."""
    with tx() as session:
        numbers = {key: number for key, number in session.execute(sa.select(Organization.id, Organization.number))}  # noqa: C416
        columns = [
            column
            for column in Organization.__table__.columns
            if column.computed is None
            and column.name not in ("id", "registered_at", "changed_at", "blur_seed", "merged_into")
        ]
        return {
            "organizations": sorted(map(repr, session.execute(sa.select(*columns)))),
            "identifiers": sorted(
                (numbers[i.organization_id], i.scheme, i.value, i.check_digit)
                for i in session.scalars(sa.select(Identifier))
            ),
            "contacts": sorted(
                (numbers[c.organization_id], c.position, c.name, c.post, c.email, c.phone)
                for c in session.scalars(sa.select(Contact))
            ),
            "references": sorted(
                (numbers[r.organization_id], r.source, r.key, r.fingerprint)
                for r in session.scalars(sa.select(ExternalReference))
            ),
            "history": sorted(
                (numbers[h.organization_id], h.kind, json.dumps(h.details, sort_keys=True))
                for h in session.scalars(sa.select(HistoryEntry))
            ),
            "events": sorted(
                (e["data"]["number"], e["type"], e["subject_version"])
                for e in session.scalars(
                    sa.select(seam.outbox.c.envelope).where(seam.outbox.c.subscriber == "requests")
                )
            ),
        }


def _entered() -> int:
    with tx() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(Organization)) or 0


# Guessing


def test_what_the_columns_of_a_spanish_register_seem_to_be(api: TestClient, registrar: dict[str, str]) -> None:
    header = [
        *("Nº de Registro", "Razón Social", "Tipo de entidad", "Domicilio", "Barrio", "Localidad", "N.I.T.", "D.V."),
        *("Correo electrónico", "Columna 1", "lat", "long", "Correo 2", "Observaciones"),
    ]
    rows = [
        [
            *(f"00{n}", f"Fundación Nido {n}", "Fundación", f"Calle {n}", "El Roble", "Bogotá", "900123456", "8"),
            *(f"o{n}@example.org", f"310 {2000000 + n}", "4,61234", "-74,08123", "no tiene", f"nota {n}"),
        ]
        for n in range(8)
    ]
    guess = _post(api, "imports/guess", registrar, _csv(header, *rows)).json()
    assert guess["mapping"] == {
        "columns": {
            "name": "Razón Social",
            "organization_type": "Tipo de entidad",
            "address": "Domicilio",
            "neighborhood": "Barrio",
            "locality": "Localidad",
            "email": "Correo electrónico",
            "phone": "Columna 1",
            "latitude": "lat",
            "longitude": "long",
        },
        "identifiers": {"CO-NIT": "N.I.T."},
        "check_digits": {"CO-NIT": "D.V."},
        "constants": {},
        "key": ["Nº de Registro"],
        "only": {},
    }
    unsure = {one["column"] for one in guess["columns"] if not one["sure"]}
    assert unsure == {"Columna 1", "Correo 2", "Observaciones"}  # cells alone make nothing sure, nor does a name alone
    assert (guess["missing"], guess["rows"], len(guess["sample_rows"])) == ([], 8, 5)
    assert guess["columns"][1]["samples"] == ["Fundación Nido 0", "Fundación Nido 1", "Fundación Nido 2"]


def test_numbers_of_the_country_are_known_by_their_cells() -> None:
    tucuman = jurisdiction.load(ROOT / "jurisdictions" / "ar-tucuman")
    header = ["Denominación", "clave", "matrícula"]
    rows = [
        ["Centro Vecinal Sur", "30-50000001-1", "7"],
        ["Cooperadora Norte", "30500000029", "8"],
        ["Comedor Sol", "30-50000003-8", "9"],
    ]
    guess = guessing.guess(tucuman, _csv(header, *rows))
    assert guess.mapping["columns"] == {"name": "Denominación"}
    assert guess.mapping["identifiers"] == {"AR-CUIT": "clave", "AR-INAES": "matrícula"}
    assert {one.column: one.sure for one in guess.columns} == {"Denominación": True, "clave": False, "matrícula": True}
    assert guess.missing == ["organization_type"]
    with pytest.raises(Unreadable, match="header_below"):
        guessing.guess(tucuman, _csv(["Padrón 2026", "", ""], header, *rows))


@pytest.mark.parametrize(
    ("file", "kind", "counts"),
    [
        ("bibliotecas_populares.csv", "social_organization", 1475),
        ("asociaciones_alcala.csv", "social_organization", 497),
    ],
)
def test_real_registers_by_a_guess_that_is_kept(
    api: TestClient, registrar: dict[str, str], handouts: Path, file: str, kind: str, counts: int
) -> None:
    data = (handouts / "data" / "organizations" / file).read_bytes()
    guess = _post(api, "imports/guess", registrar, data).json()
    assert guess["missing"] == ["organization_type"]
    assert guess["saved"] is None
    mapping = guess["mapping"] | {"constants": {"organization_type": kind}}
    mapping["columns"].pop("organization_type", None)
    assert _post(api, "imports", registrar, data).json()["errors"][0]["code"] == "mapping_unknown"
    dry = _post(api, "imports", registrar, data, mapping=mapping, dry_run=True).json()
    assert _post(api, "imports/guess", registrar, data).json()["saved"] is None  # a dry run teaches nothing
    report = _post(api, "imports", registrar, data, mapping=mapping).json()
    assert (report["applied"], _counts(report)) == (True, _counts(dry))
    print(
        file,
        "guessed:",
        dict(zip(("created", "changed", "unchanged", "repeated", "rejected"), _counts(report), strict=True)),
    )
    assert report["created"] >= 0.95 * counts
    after = _content()
    again = _post(api, "imports", registrar, data).json()  # by the mapping that was kept
    assert _counts(again) == (0, 0, report["created"], *_counts(report)[3:])
    assert _content() == after
    assert _post(api, "imports/guess", registrar, data).json()["saved"]["key"] == mapping["key"]
    [kept] = api.get("/v1/import-mappings", headers=registrar).json()
    assert (kept["source"], kept["saved_by"]) == ("padrón", "registradora-1")


# Jobs


def test_a_long_import_from_upload_to_report(api: TestClient, registrar: dict[str, str], register: bytes) -> None:
    lines = register.split(b"\r\n")
    bad = lines[5].replace(b"Calle", b"=Calle").split(b";")
    bad[11] = b"=cmd|' /C calc'!A0"
    data = b"\r\n".join([*lines[:5], b";".join(bad), *lines[6:-1], lines[1], b""])
    job = _job(api, registrar, data)
    assert (job["status"], job["rows"], job["done"], job["applied"]) == ("waiting", None, 0, False)
    again = _post(api, "import-jobs", registrar, data, mapping=organizations.MAPPING)
    assert (again.status_code, again.json()["id"]) == (200, job["id"])  # sent twice it is one job
    while tasks.advance():
        pass
    done = _see(api, registrar, job)
    assert (done["status"], done["rows"], done["done"]) == ("done", ROWS + 1, ROWS + 1)
    assert (_counts(done["counts"]), done["applied"]) == ((ROWS - 1, 0, 0, 1, 1), True)
    assert _entered() == ROWS - 1
    with tx() as session:
        [key] = session.scalars(sa.select(ImportJob.file_key))
    assert key is not None
    assert files.store.exists(key)
    assert tasks.sweep() == 1
    assert not files.store.exists(key)

    address = f"/v1/import-jobs/{job['id']}/problems"
    first = api.get(address, params={"limit": 2}, headers=registrar).json()
    rest = api.get(address, params={"limit": 2, "cursor": first["next"]}, headers=registrar).json()
    found = [(one["row"], one["field"], one["code"], one["severity"]) for one in first["items"] + rest["items"]]
    assert sorted(found) == [
        (6, "address", "formula", "warning"),
        (6, "contacts.0.email", "value_error", "error"),
        (6, "email", "formula", "warning"),
        (ROWS + 2, "key", "row_repeated", "warning"),
    ]
    assert [one[0] for one in found] == [6, 6, 6, ROWS + 2]
    assert done["problems"] == len(found)
    errors = api.get(address, params={"severity": "error"}, headers=registrar).json()["items"]
    assert [one["row"] for one in errors] == [6]
    sheet = api.get(f"{address}.csv", headers=registrar)
    table = list(csv.reader(io.StringIO(sheet.content.decode("utf-8-sig"))))
    assert table[0] == ["Fila", "Gravedad", "Campo", "Problema"]
    assert len(table) == 1 + len(found)
    assert not [cell for row in table for cell in row if cell.startswith(("=", "+", "-", "@"))]

    second = _job(api, registrar, data)
    assert second["id"] != job["id"]
    before = _content()
    while tasks.advance():
        pass
    assert _counts(_see(api, registrar, second)["counts"]) == (0, 0, ROWS - 1, 1, 1)
    assert _content() == before
    assert [one["status"] for one in api.get("/v1/import-jobs", headers=registrar).json()["items"]] == ["done", "done"]


def test_dry_runs_all_or_nothing_and_what_is_refused(
    api: TestClient, registrar: dict[str, str], register: bytes, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = register.split(b"\r\n")
    few = b"\r\n".join(lines[:2501]) + b"\r\n"
    broken = few + lines[2600].replace(b";31", b";no ", 1) + b"\r\n"
    dry = _job(api, registrar, few, dry_run=True)
    nothing = _job(api, registrar, broken, all_or_nothing=True)
    while tasks.advance():
        pass
    seen = _see(api, registrar, dry)
    assert (seen["status"], seen["applied"], _counts(seen["counts"])) == ("done", False, (2500, 0, 0, 0, 0))
    seen = _see(api, registrar, nothing)
    assert (seen["status"], seen["applied"], _counts(seen["counts"])) == ("done", False, (2500, 0, 0, 0, 1))
    assert _entered() == 0
    whole = _job(api, registrar, few, all_or_nothing=True)
    while tasks.advance():
        pass
    seen = _see(api, registrar, whole)
    assert (seen["applied"], _counts(seen["counts"]), _entered()) == (True, (2500, 0, 0, 0, 0), 2500)

    def refused(data: bytes, **form: Any) -> tuple[int, str]:
        answer = _post(api, "import-jobs", registrar, data, **({"mapping": organizations.MAPPING} | form))
        return answer.status_code, answer.json()["errors"][0]["code"]

    assert refused(b"%PDF-1.7\n" + bytes(range(32)) * 20) == (422, "not_a_table")
    assert refused(few, mapping={"columns": {"name": "Nombre"}}) == (422, "mapping_type")
    assert refused(few, source="nunca vista", mapping="") == (422, "string_too_short")
    monkeypatch.setattr(settings(), "import_job_rows", 100)
    assert refused(few) == (422, "too_many_rows")
    for path in ("import-jobs", "imports", "imports/guess"):
        assert _post(api, path, issuer.headers("ciudadania"), few).status_code == 403
        assert _post(api, path, {}, few).status_code == 401
    assert api.get(f"/v1/import-jobs/{UUID(int=0)}", headers=registrar).status_code == 404
    assert api.get(f"/v1/import-jobs/{whole['id']}", headers=issuer.headers("ciudadania")).status_code == 403


def test_a_cancelled_import_stays_where_it_is(
    api: TestClient, registrar: dict[str, str], register: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = _job(api, registrar, register)
    monkeypatch.setattr(tasks, "RUN_SECONDS", 0.0)
    tasks.advance()
    seen = _see(api, registrar, job)
    assert (seen["status"], seen["done"], _entered()) == ("running", 1000, 1000)
    cancelled = api.post(f"/v1/import-jobs/{job['id']}/cancellation", headers=registrar)
    assert cancelled.json()["status"] == "cancelled"
    assert api.post(f"/v1/import-jobs/{job['id']}/cancellation", headers=registrar).status_code == 200
    assert not tasks.advance()
    assert _entered() == 1000
    again = _job(api, registrar, register)
    monkeypatch.setattr(tasks, "RUN_SECONDS", 60.0)
    while tasks.advance():
        pass
    seen = _see(api, registrar, again)
    assert _counts(seen["counts"]) == (ROWS - 1000, 0, 1000, 0, 0)
    late = api.post(f"/v1/import-jobs/{again['id']}/cancellation", headers=registrar)
    assert (late.status_code, late.json()["type"]) == (409, "urn:tejido:problem:import_over")


def test_an_import_that_ends_every_worker_is_given_up(
    api: TestClient, registrar: dict[str, str], register: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = _job(api, registrar, register)

    def crash(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(tasks.files, "load", crash)
    for _ in range(jobs.MOST_ATTEMPTS):
        with pytest.raises(MemoryError):
            tasks.advance()
    assert tasks.advance()
    seen = _see(api, registrar, job)
    assert (seen["status"], seen["error"]) == ("failed", "import_stuck")
    assert "varias veces" in seen["reason"]
    monkeypatch.undo()
    other = _job(api, registrar, register)
    with tx() as session:
        files.store.delete(session.get_one(ImportJob, UUID(other["id"])).file_key or UUID(int=0))
    assert tasks.advance()
    assert _see(api, registrar, other)["error"] == "import_file_lost"


def test_while_another_import_runs_a_job_waits(api: TestClient, registrar: dict[str, str], register: bytes) -> None:
    job = _job(api, registrar, register)
    with running.alone(database):
        assert not tasks.advance()
    assert _see(api, registrar, job)["status"] == "waiting"


# Killed


def _started(command: list[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ.copy()
    )


def _killed_after_some_batches(process: "subprocess.Popen[bytes]") -> int:
    """How many organizations there are once the process was killed, with part of its work done."""
    with process:
        wait_until(lambda: _entered() >= 1000 or process.poll() is not None, 120, "a batch")
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL
    return _entered()


def test_killed_and_run_again_the_command_leaves_what_an_undisturbed_one_does(
    databases: dict[str, Database], register: bytes, tmp_path: Path
) -> None:
    (tmp_path / "register.csv").write_bytes(register)
    (tmp_path / "mapping.json").write_text(json.dumps(organizations.MAPPING), "utf-8")
    command = ["-m", "tejido_registry", "import", str(tmp_path / "register.csv"), "--source", "padrón"]
    command += ["--mapping", str(tmp_path / "mapping.json"), "--json"]
    whole = subprocess.run([sys.executable, *command], capture_output=True, check=True, env=os.environ.copy())
    assert _counts(json.loads(whole.stdout)) == (ROWS, 0, 0, 0, 0)
    assert f"1000 de {ROWS}" in whole.stderr.decode()  # progress
    expected = _content()
    empty(database)

    part = _killed_after_some_batches(_started(command))
    assert part % 1000 == 0
    assert 1000 <= part < ROWS
    rest = subprocess.run([sys.executable, *command], capture_output=True, check=True, env=os.environ.copy())
    assert _counts(json.loads(rest.stdout)) == (ROWS - part, 0, part, 0, 0)
    assert _content() == expected


def test_killed_in_the_middle_a_job_goes_on_to_the_same_end(
    api: TestClient, registrar: dict[str, str], register: bytes
) -> None:
    job = _job(api, registrar, register)
    while tasks.advance():
        pass
    expected, undisturbed = _content(), _see(api, registrar, job)
    empty(database)

    job = _job(api, registrar, register)
    worker = ["-c", "from tejido_registry.imports import tasks; tasks.advance()"]
    part = _killed_after_some_batches(_started(worker))
    assert part < ROWS
    seen = _see(api, registrar, job)
    assert (seen["status"], seen["done"]) == ("running", part)
    while tasks.advance():
        pass
    done = _see(api, registrar, job)
    assert _content() == expected
    assert (done["counts"], done["rows"], done["status"]) == (undisturbed["counts"], undisturbed["rows"], "done")
