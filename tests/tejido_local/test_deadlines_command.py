"""`./tejido deadlines`: what it prints, and how it ends."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tejido_local import deadlines

FILE: dict[str, Any] = {
    "default_policy": {
        "receipt_rule": "same_day",
        "cutoff": "17:00",
        "weekdays": "1111100",
        "overdue": "end_of_day",
        "office_close": "17:00",
    },
    "terms": {"co.general": {"unit": "business_days", "n": 5, "law": "Ley 1755/2015 art. 14"}},
    "calendars": {"CO": {"closed": ["2026-06-08"], "law": "Ley 51/1983"}},
    "vectors": [
        {
            "id": "CO-1",
            "rule": "co.general",
            "timezone": "America/Bogota",
            "calendar": "CO",
            "received_at": "2026-06-04T10:00:00-05:00",
            "expected": {
                "rejected_events": [],
                "term_days": 5,
                "effective_receipt_date": "2026-06-04",
                "first_counted_day": "2026-06-05",
                "due_date": "2026-06-12",
                "overdue_at": "2026-06-13T00:00:00-05:00",
                "due_soon_from": "2026-06-10",
            },
        }
    ],
}


def _written(folder: Path, **changed: Any) -> Path:
    """The file, with something changed in its one case; what is changed to `...` is left out."""
    case = {name: value for name, value in {**FILE["vectors"][0], **changed}.items() if value is not ...}
    path = folder / "casos.json"
    path.write_text(json.dumps({**FILE, "vectors": [case]}))
    return path


def test_a_case_that_matches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert deadlines.main(_written(tmp_path), explain=False) == 0
    case, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert case == {"id": "CO-1", "matches": True, "computed": FILE["vectors"][0]["expected"]}
    assert summary == {"cases": 1, "matching": 1, "different": 0}


def test_a_difference_is_shown_and_ends_with_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = {**FILE["vectors"][0]["expected"], "due_date": "2026-06-11", "flags": ["more"]}
    assert deadlines.main(_written(tmp_path, expected=expected), explain=False) == 1
    case, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert case["matches"] is False
    assert case["computed"]["due_date"] == "2026-06-12"
    assert case["expected"] == {"due_date": "2026-06-11", "flags": ["more"]}
    assert summary == {"cases": 1, "matching": 0, "different": 1}


def test_a_field_too_few_is_a_difference(tmp_path: Path) -> None:
    expected = {name: value for name, value in FILE["vectors"][0]["expected"].items() if name != "due_soon_from"}
    assert deadlines.main(_written(tmp_path, expected=expected), explain=False) == 1


def test_the_count_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert deadlines.main(_written(tmp_path), explain=True) == 0
    said = capsys.readouterr().out.splitlines()
    assert "    Término: 5 días hábiles (Ley 1755/2015 art. 14)." in said
    assert "    lunes 8 de junio de 2026: no se cuenta, día de cierre (Ley 51/1983)." in said
    assert said[-2] == "    Vence el viernes 12 de junio de 2026, al final del día."


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"received_at": ...}, "caso CO-1: falta «received_at»"),
        ({"expected": ...}, "caso CO-1: falta «expected»"),
        ({"id": ..., "calendar": ...}, "caso vectors[0]: falta «calendar»"),
        ({"received_at": "ayer"}, "caso CO-1: no se entiende «received_at»"),
        ({"rule": "co.other"}, "caso CO-1: falta «terms.co.other»"),
        ({"events": [{"kind": "pause"}]}, "caso CO-1: falta «events[0].at»"),
        ({"query_at": "2026"}, "caso CO-1: no se entiende «query_at»"),
        ({"received_at": "2100-12-31T10:00:00-05:00"}, "caso CO-1: no se entiende «received_at»"),
        ({"received_at": "2099-12-31T10:00:00-05:00", "rule": "co.long"}, "una fecha queda fuera del calendario"),
    ],
)
def test_what_lacks_the_shape_is_named_and_ends_with_two(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changed: dict[str, Any],
    said: str,
) -> None:
    monkeypatch.setenv("LC_ALL", "es_CO.UTF-8")
    monkeypatch.setitem(FILE["terms"], "co.long", {"unit": "business_days", "n": 600})
    assert deadlines.main(_written(tmp_path, **changed), explain=False) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "no es JSON: no se entiende desde la línea 1, columna 1"),
        ('{"vectors": [\n  {"id" 1}]}', "no se entiende desde la línea 2, columna 9"),
        ("[" * 100_000, "niveles fuera de toda medida"),
        ('{"vectors": [%s]}' % ("9" * 5000), "números"),
        ("[]", "«vectors»"),
        ("{}", "«vectors»"),
        ('{"vectors": 3}', "«vectors»"),
    ],
)
def test_what_is_no_file_of_cases_ends_with_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], content: str, said: str
) -> None:
    monkeypatch.setenv("LC_ALL", "es_CO.UTF-8")
    path = tmp_path / "cases.json"
    path.write_text(content)
    assert deadlines.main(path, explain=False) == 2
    assert said in capsys.readouterr().err
    assert deadlines.main(tmp_path / "none.json", explain=False) == 2
    assert "No existe" in capsys.readouterr().err
    assert deadlines.main(tmp_path, explain=True) == 2
    assert "es una carpeta" in capsys.readouterr().err
    path.write_bytes(b"\xff\xfe{")
    assert deadlines.main(path, explain=False) == 2
    assert "no es texto UTF-8" in capsys.readouterr().err


def test_as_a_command_it_needs_no_servers(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TEJIDO_", "REQUESTS_"))}
    command = [sys.executable, "-P", "-m", "tejido_local", "deadlines", str(_written(tmp_path))]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads(ran.stdout.splitlines()[-1]) == {"cases": 1, "matching": 1, "different": 0}


def test_every_worked_case(handouts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert deadlines.main(handouts / "vectors" / "deadlines.json", explain=True) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"cases": 80, "matching": 80, "different": 0}
