"""`python check_month.py INSTANT`: whether what a desk has stored is what follows from its history. Prints counts as JSON."""

import json
import sys
from collections import Counter
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from tejido_requests.clocks import service as clocks
from tejido_requests.db import read
from tejido_requests.models import Announcement, ServiceRequest, StoppedClock
from tejido_requests.settings import jurisdiction
from tejido_shared.jurisdiction import parse_receipt_number


def main(instant: datetime) -> Counter[str]:
    counts: Counter[str] = Counter()
    with read() as session:
        requests = session.scalars(sa.select(ServiceRequest)).all()
        histories = clocks.histories(session, [request.id for request in requests])
        announced: set[tuple[UUID, str, str, int]] = set()
        for row in session.scalars(sa.select(Announcement)):
            announced.add((row.request_id, row.clock, row.threshold, row.clock_version))
            counts["thresholds announced"] += 1
            counts["announcements told"] += row.told
        outcomes = {
            (row.request_id, row.clock, row.started_at): row for row in session.scalars(sa.select(StoppedClock))
        }
        for request in requests:
            found = clocks.clocks(session, request, histories[request.id])
            answer = found[0].deadline
            stored = (request.due_date, request.overdue_at, request.days_left, request.on_time)
            computed = (answer.due_date, answer.overdue_at, answer.days_left, found[0].on_time)
            assert stored == computed, (request.number, request.status, stored, computed, histories[request.id])
            counts["clocks compared"] += len(found)
            counts[f"status {request.status}"] += 1
            for one in found:
                if one.stopped_at is not None:
                    kept = outcomes.get((request.id, one.kind, one.started_at))
                    if kept is None:
                        # A receipt handed over at once: its outcome is kept with the first act, if there is one.
                        assert one.kind == "acknowledgement"
                        assert one.stopped_at == request.acknowledged_at
                        assert {told.kind for told in histories[request.id]} <= {"received", "calendar_changed"}
                        continue
                    on_time = one.on_time
                    if kept.overdue_at != one.deadline.overdue_at and on_time is not None:
                        # The answer came to be due on another day later: what was kept goes by the day there was.
                        assert one.kind != "answer"
                        on_time = kept.overdue_at is not None and kept.stopped_at < kept.overdue_at
                        counts["outcomes by a day that has moved since"] += 1
                    computed_as = {True: "on_time", False: "late", None: "void"}[on_time]
                    assert kept.outcome == computed_as, (request.number, one.kind, kept.outcome, computed_as)
                    counts["outcomes compared"] += 1
            due = {clocks.announced_as(request, t) for t in clocks.thresholds(found) if t.at <= instant}
            assert due <= announced, (request.number, due - announced, request.alarm_at)
            if request.closed_at is None and request.overdue_at is not None and request.overdue_at <= instant:
                counts["open and overdue"] += 1
    pattern = jurisdiction().receipt_pattern
    numbers = sorted(parse_receipt_number(pattern, request.number) for request in requests)
    for year in sorted({number.year for number in numbers}):
        of_year = [number.sequence for number in numbers if number.year == year]
        assert of_year == list(range(1, len(of_year) + 1))
        counts[f"numbers of {year}, consecutive"] = len(of_year)
    assert len(requests) >= 2000
    assert {request.request_type for request in requests} == {kind.code for kind in jurisdiction().request_types}
    return counts


if __name__ == "__main__":
    print(json.dumps(main(datetime.fromisoformat(sys.argv[1]))))
