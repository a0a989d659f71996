"""`./tejido deadlines FILE`: worked cases computed anew and compared with what they say must come out."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tejido_local.texts import text
from tejido_requests.clocks import words
from tejido_shared.deadlines import OutOfCalendar
from tejido_shared.deadlines.cases import Cases, Misshapen, differences


def main(path: Path, *, explain: bool) -> int:
    """Prints a line of JSON for each case, under it its count in Spanish if `explain`, and one more with the sums.

    Returns 0 where all cases match, 1 where one does not, 2 for a file that cannot be read or does not have the shape.
    """
    try:
        cases = Cases(json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return _refuse("deadlines.none", path=path)
    except IsADirectoryError:
        return _refuse("deadlines.folder", path=path)
    except OSError as error:
        return _refuse("deadlines.unreadable", path=path, why=error.strerror)
    except json.JSONDecodeError as error:
        return _refuse("deadlines.not_json", path=path, line=error.lineno, column=error.colno)
    except RecursionError:
        return _refuse("deadlines.unfit", path=path)
    except ValueError as error:
        if isinstance(error, Misshapen):
            return _refuse("deadlines.no_cases", path=path, key=error.key)
        return _refuse("deadlines.unfit", path=path)

    matching = total = 0
    for place, case in enumerate(cases):
        name = str(case.get("id", f"vectors[{place}]"))
        try:
            line, explanation = _compared(cases, case, name, explain=explain)
        except Misshapen as error:
            code = "deadlines.missing" if error.missing else "deadlines.misshapen"
            return _refuse(code, path=path, case=name, key=error.key)
        except OutOfCalendar as error:
            return _refuse("deadlines.out_of_calendar", path=path, case=name, day=error)
        print(json.dumps(line, ensure_ascii=False))
        for sentence in explanation:
            print(f"    {sentence}")
        total += 1
        matching += line["matches"]
    print(json.dumps({"cases": total, "matching": matching, "different": total - matching}))
    return 0 if matching == total else 1


def _compared(
    cases: Cases, case: Mapping[str, Any], name: str, *, explain: bool
) -> tuple[dict[str, Any], Iterator[str] | list[str]]:
    computed = cases.computed(case)
    if not isinstance(case.get("expected"), dict):
        raise Misshapen("expected", missing="expected" not in case)
    expected = case["expected"]
    differ = differences(computed, expected)
    line: dict[str, Any] = {"id": name, "matches": not differ, "computed": computed}
    if differ:
        line["expected"] = {key: expected.get(key) for key in differ}
    if not explain:
        return line, []
    found = cases.deadline(case)
    law = cases.law(case, found)
    basis = words.Basis(law, "legal") if law else None
    return line, words.lines(found, basis, cases.received_at(case), cases.zone(case), "es", cases.acts(case))


def _refuse(code: str, **params: Any) -> int:
    print(text(code, **params), file=sys.stderr)
    return 2
