"""The sample municipality, loaded for real: the use cases of three services, and the events between two of them."""

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet
from stdnum.ar import cuit
from stdnum.co import nit

from tejido_local.identity import SAMPLE_ORGANIZATION
from tejido_local.paths import ROOT
from tejido_local.running import RunningTown
from tejido_projects.settings import stages
from tejido_shared.jurisdiction import Freshness, Jurisdiction, LegalStatus, MandateStatus, RegistrationStatus
from tejido_shared.jurisdiction import load as load_pack
from tejido_shared.testing import Issuer, empty, wait_until

# In a process of its own, for a service's settings are read once. Twice: the second time adds nothing.
LOAD = """
import os, pathlib
from tejido_local import sample
from tejido_local.identity import Identity
from tejido_local.up import House
services = ("registry", "projects", "requests")
path = pathlib.Path(os.environ["TEJIDO_JURISDICTION"])
house = House(path, {}, dict.fromkeys(services, dict(os.environ)), Identity(path, 0, "", {}))
sample.load(house)
sample.load(house)
"""
SERVICES = ("registry", "projects", "requests")
BOXES = {"co-bogota": (3.7, 4.9, -74.5, -73.9), "ar-tucuman": (-26.95, -26.7, -65.35, -65.1)}
"""South, north, west, east of the municipality, degrees."""


EVERYTHING = {
    "organizations": (
        "registry",
        """select o.id, o.name, public_name, organization_type, registration_status, address, territory, latitude,
        longitude, c.name, email, phone from organization o join contact c on c.organization_id = o.id""",
    ),
    "identifiers": ("registry", "select organization_id, scheme, value from identifier"),
    "standing": (
        "registry",
        """select id, legal_status, mandate_status, freshness, standing::text, area, area_found, neighborhood, purpose,
        founded_on, themes::text, populations::text, point_shown, merged_into from organization""",
    ),
    "boards": (
        "registry",
        """select organization_id, post, signs, act, ended_why, p.name, p.document from mandate m
        join person p on p.id = m.person_id""",
    ),
    "applications": ("registry", "select organization_id, kind, status, corrections, on_behalf from application"),
    "defects": ("registry", "select item, reason from defect"),
    "documents": ("registry", "select organization_id, document_type, status, file_name from document"),
    "pairs": ("registry", "select first_id, second_id, status, score from duplicate_pair"),
    "projects": (
        "projects",
        """select organization_id, title, estimated_cost, p.stage, presented_by, array_agg(to_stage order by at),
        array_agg(reason order by at) from project p join stage_entry e on e.project_id = p.id group by p.id""",
    ),
    "requests": (
        "requests",
        """select request_type, office, channel, verbal, status, organization_id, subject, reasons, petitioner_name,
        petitioner_identification, petitioner_email, petitioner_phone, answer, notification_evidence, filed_by,
        received_by, place_address, area, latitude, longitude, confidential, anonymous, minor, priority_reason, assignee,
        answers_given, answer_kind from service_request""",
    ),
    "acts": ("requests", "select kind, author, reason, evidence from history_entry"),
    "drafts": ("requests", "select kind, status, author, remark from draft"),
    "notes": ("requests", "select author, text from note"),
    "ratings": ("requests", "select stars, comment from rating"),
    "officers": ("requests", "select subject, office, email, present from desk_officer"),
    "views": ("requests", "select owner, name, office, query::text from saved_view"),
}


@dataclass(frozen=True)
class Sample:
    """The sample of one pack in a town where the registry's events reach the projects service."""

    town: RunningTown
    pack: Jurisdiction
    path: Path

    def load(self) -> str:
        """Loads it twice into empty databases and returns what was said."""
        waiting = "select 1 from outbox where subscriber = 'projects'"  # the other listeners are not here
        wait_until(lambda: not self.rows("registry", waiting), 30, "the registry's rest")
        for service in SERVICES:
            empty(self.town.database(service))
        self.town.environment["TEJIDO_JURISDICTION"] = str(self.path)
        return self.town.run("-c", LOAD)

    def rows(self, service: str, query: str) -> list[Any]:
        """Rows with what is encrypted in them in the clear; `current_date` is the day it is in the municipality."""
        key = Fernet(self.town.environment["TEJIDO_DATA_KEY"])
        with self.town.database(service).tx() as session:
            session.execute(sa.select(sa.func.set_config("timezone", str(self.pack.zone), True)))
            found = session.execute(sa.text(query)).all()
        return [tuple(key.decrypt(x).decode() if isinstance(x, bytes) else x for x in row) for row in found]

    def counts(self, service: str, table: str, column: str) -> Counter[str]:
        return Counter(dict(self.rows(service, f"select {column}, count(*) from {table} group by 1")))

    def everything(self) -> dict[str, list[Any]]:
        """All that does not depend on the day."""
        return {name: sorted(self.rows(*query), key=repr) for name, query in EVERYTHING.items()}


@pytest.fixture(scope="module")
def town(module_dir: Path, issuer: Issuer) -> Iterator[RunningTown]:
    town = RunningTown("test_sample", module_dir, issuer)
    try:
        town.migrate(*SERVICES)
        town.start_relay("registry")
        for service in ("registry", "projects"):  # the publisher's takes the confirmations
            town.start_worker(f"tejido_{service}.worker", f"{service}-worker")
        yield town
    finally:
        town.close()


def another_country(directory: Path) -> Path:
    """A pack of a country and of codes that the sample's lists do not know."""
    pack = directory / "otra"
    shutil.copytree(ROOT / "jurisdictions" / "ar-tucuman", pack)
    for file, old, new in (
        ("jurisdiction.toml", '"AR"', '"UY"'),
        ("jurisdiction.toml", '"ar-tucuman"', '"uy-otra"'),
        ("organization_types.toml", '"neighborhood_center"', '"neighbours"'),
        ("registration.toml", '"neighborhood_center"', '"neighbours"'),
        ("request_types.toml", '"petition"', '"asking"'),
        ("routing.toml", '"petition"', '"asking"'),
    ):
        text = (pack / file).read_text("utf-8")
        assert old in text
        (pack / file).write_text(text.replace(old, new), "utf-8")
    return pack


@pytest.fixture(scope="module", params=["co-bogota", "ar-tucuman", "another country"])
def sample(request: pytest.FixtureRequest, town: RunningTown, module_dir: Path) -> Sample:
    known = ROOT / "jurisdictions" / request.param
    path = known if known.is_dir() else another_country(module_dir)
    sample = Sample(town, load_pack(path), path)
    said = sample.load()
    counts = [int(word) for word in said.split() if word.isdigit()]
    assert counts[0] >= 280
    assert counts[1:] == [120, 400, 0, 0, 0]
    return sample


def test_there_is_some_of_everything(sample: Sample) -> None:
    pack = sample.pack
    types = sample.counts("registry", "organization", "organization_type")
    assert set(types) == {kind.code for kind in pack.organization_types}
    assert types.total() >= 280
    assert set(sample.counts("registry", "organization", "registration_status")) == set(get_args(RegistrationStatus))
    assert sample.rows(
        "registry", f"select registration_status from organization where id = '{SAMPLE_ORGANIZATION}'"
    ) == [("registered",)]
    for scheme, value, digit in sample.rows("registry", "select scheme, value, check_digit from identifier"):
        assert scheme != "CO-NIT" or (nit.is_valid(value + digit) and value.startswith("999"))
        assert scheme != "AR-CUIT" or (cuit.is_valid(value) and value.startswith("30000"))
    box = BOXES.get(pack.code)
    points = "select latitude, longitude from organization where latitude is not null"
    assert bool(sample.rows("registry", points)) == (box is not None)
    for latitude, longitude in sample.rows("registry", points):
        assert box is not None
        assert box[0] < latitude < box[1]
        assert box[2] < longitude < box[3]
    emails = sample.rows("registry", "select email from contact where email is not null")
    assert all(email.endswith("@example.org") for (email,) in emails)

    in_stages = sample.counts("projects", "project", "stage")
    assert set(in_stages) == set(stages().by_code)
    assert in_stages.total() == 120
    steps = sample.rows("projects", "select from_stage, to_stage, reason from stage_entry where from_stage is not null")
    for before, after, reason in steps:
        step = stages().by_code[before].step(after)
        assert step is not None
        assert bool(reason) == step.reason

    requests = sample.counts("requests", "service_request", "request_type")
    assert set(requests) == {kind.code for kind in pack.request_types}
    assert requests.total() == 400
    assert set(sample.counts("requests", "service_request", "office")) == {office.code for office in pack.offices}
    for what in (
        "status = 'received' and received_at > now() - interval '3 days'",
        "status = 'received' and overdue_at > now() and due_soon_from <= current_date",
        "status = 'received' and overdue_at <= now() and overdue_announced_at is not null",
        "status = 'answered' and overdue_at > now()",
        "notified_at < overdue_at",
        "notified_at >= overdue_at and overdue_announced_at is not null",
        "verbal and channel = 'counter' and petitioner_identification is not null",
        "petitioner_name is null",
        "channel = 'letter' and received_by is not null",
        "project_id is not null and organization_id is not null",
        "filed_by is not null",
    ):
        [(count,)] = sample.rows("requests", f"select count(*) from service_request where {what}")
        assert count > 4, what


def test_a_register_with_every_standing(sample: Sample) -> None:
    legal = sample.counts("registry", "organization", "legal_status")
    assert set(legal) >= {*get_args(LegalStatus)} - {"dissolved"}
    for column, values in (("mandate_status", MandateStatus), ("freshness", Freshness)):
        counted = sample.counts("registry", "organization where registration_status = 'registered'", column)
        assert set(counted) == set(get_args(values)), column
        assert min(counted.values()) >= 5, column
    in_time, late = "registration_status = 'registered'", "filing_due_on < current_date"
    for what, least in {
        f"organization where {in_time} and {late}": 3,
        f"organization where {in_time} and contact_bounced_at is not null": 3,
        "organization where registration_status = 'draft' and not on_behalf": 2,
        "organization where standing -> 'sign' = '[]'": 60,
        "organization where standing -> 'sign' ? 'mandate_expired'": 5,
        "application where status = 'submitted'": 5,
        "application where status = 'in_review'": 5,
        "application where status = 'needs_correction' and correction_until >= current_date": 3,
        "application where status = 'accepted' and kind = 'registration'": 10,
        "application where status = 'accepted' and kind = 'annual_filing'": 2,
        "application where status = 'rejected'": 2,
        "application where due_on < current_date and status in ('submitted', 'in_review')": 1,
        "defect where corrected_at is null": 3,
        "document where status = 'verified'": 60,
        "mandate": 400,
        "verification where method = 'visit'": 30,
        "public_profile": 60,
        "organization where point_shown = 'blurred'": 20,
        "certificate where revoked_at is null": 3,
        "certificate where revoked_at is not null": 2,
        "duplicate_pair where status = 'pending'": 2,
        "duplicate_pair where status = 'different'": 1,
        "merge where status = 'done'": 1,
        "organization where merged_into is not null": 1,
    }.items():
        [(count,)] = sample.rows("registry", f"select count(*) from {what}")
        assert count >= least, what
    # The calendar finds nothing more to do today, and what others may know they were told.
    assert sample.rows("registry", "select 1 from organization where axes_due_on <= current_date") == []
    if BOXES.get(sample.pack.code):
        [(agrees, differs)] = sample.rows(
            "registry",
            "select count(*) filter (where area = area_found), count(*) filter (where area <> area_found) from organization",
        )
        assert agrees > 5 * differs > 0
        [(visited,)] = sample.rows("registry", "select count(*) from verification where survey_id is not null")
        assert visited >= 3


def test_a_working_desk(sample: Sample) -> None:
    def has(kind: str) -> str:
        return f"exists (select 1 from history_entry h where h.request_id = r.id and h.kind = '{kind}')"

    answered = "status in ('answered', 'notified')"
    for what, least in {
        "status = 'paused' and citizen_due_date > current_date + 4": 5,
        "status = 'paused' and citizen_due_date between current_date - 1 and current_date + 5": 3,
        f"status = 'paused' and citizen_due_date < current_date and {has('completion_lapsed')}": 3,
        f"status = 'withdrawn' and {has('completion_lapsed')}": 3,
        f"status = 'withdrawn' and not {has('asked_to_complete')}": 3,
        f"status = 'received' and {has('completed')}": 3,
        f"status = 'received' and {has('retyped')}": 3,
        f"status = 'received' and {has('partial_answer')}": 3,
        "status = 'transferred'": 3,
        "status = 'split'": 3,
        "parent_id is not null and status = 'received'": 6,
        "status = 'merged' and merged_into_id is not null": 3,
        "exists (select 1 from draft d where d.request_id = r.id and d.status = 'submitted') and status = 'received'": 3,
        f"{answered} and answer_kind = 'refusal'": 3,
        f"status = 'notified' and {has('rated')}": 20,
        f"status = 'notified' and {has('reopened')}": 3,
        "status = 'received' and reopens_id is not null": 3,
        "confidential and not anonymous": 5,
        "anonymous": 5,
        "minor": 3,
        "priority and priority_reason is not null": 3,
        "place_address is not null": 100,
        "assignee is not null and closed_at is null": 50,
        "assignee is null and status = 'received'": 5,
    }.items():
        [(count,)] = sample.rows("requests", f"select count(*) from service_request r where {what}")
        assert count >= least, what
    extendable = any(term.extension_max_added for kind in sample.pack.request_types for term in kind.terms)
    [(extended,)] = sample.rows("requests", "select count(*) from service_request where extended_by > 0")
    assert (extended >= 3) == extendable
    if BOXES.get(sample.pack.code):
        [(placed,)] = sample.rows(
            "requests", "select count(*) from service_request where area is not null and latitude is not null"
        )
        assert placed > 50
    assert len(sample.counts("requests", "service_request", "channel")) >= 7
    assert set(sample.counts("requests", "draft", "status")) == {
        "written",
        "submitted",
        "returned",
        "approved",
        "issued",
    }
    offices = {office.code: 1 for office in sample.pack.offices}
    assert sample.counts("requests", "saved_view", "office") == offices
    assert set(sample.counts("requests", "desk_officer", "office")) == set(offices)
    away = "select 1 from desk_officer where not present or away_until > current_date"
    assert len(sample.rows("requests", away)) > 1
    assert len(sample.rows("requests", "select 1 from note")) > 20


def test_nothing_happens_before_it_can_or_in_the_future(sample: Sample) -> None:
    impossible = """select number from service_request where answered_at < received_at or notified_at < answered_at
        or greatest(received_at, answered_at, notified_at) > now()"""
    assert sample.rows("requests", impossible) == []
    unannounced = (
        "select number from service_request where overdue_at < least(now(), closed_at) and overdue_announced_at is null"
    )
    assert sample.rows("requests", unannounced) == []
    by_time = "array_agg(kind order by at, id)"
    ends = ("notified", "withdrawn", "transferred", "split", "merged")
    for (kinds,) in sample.rows("requests", f"select {by_time} from history_entry group by request_id"):
        assert kinds[0] == "received"
        assert "notified" not in kinds or kinds.index("answered") < kinds.index("notified")
        ended = next((place for place, kind in enumerate(kinds) if kind in ends), len(kinds))
        assert set(kinds[ended + 1 :]) <= {"rated", "reopened"}, kinds
    numbers = "select number from service_request order by number"
    assert len({number for (number,) in sample.rows("requests", numbers)}) == 400
    for table, service in (("organization_history", "registry"), ("stage_entry", "projects")):
        assert sample.rows(service, f"select 1 from {table} where at > now()") == []


def test_events_go_out(sample: Sample) -> None:
    query = "select envelope->>'type', count(distinct event_id) from outbox group by 1"
    requests = dict(sample.rows("requests", query))
    assert requests["requests.submitted"] == 400
    statuses = sample.counts("requests", "service_request", "status")
    acts = sample.counts("requests", "history_entry", "kind")
    assert requests["requests.answered"] == statuses["answered"] + statuses["notified"] + acts["partial_answer"]
    [(announced,)] = sample.rows("requests", "select count(overdue_announced_at) from service_request")
    assert requests["requests.became_overdue"] == announced
    [(mailed,)] = sample.rows("requests", "select count(petitioner_email) from service_request")
    assert 60 < mailed < 200
    assert dict(sample.rows("projects", query))["projects.presented"] == 120
    known = sample.counts("projects", "known_organization", "status")
    assert known == sample.counts("registry", "organization", "registration_status")


@pytest.mark.parametrize("sample", ["ar-tucuman"], indirect=True)
def test_the_same_on_every_machine(sample: Sample) -> None:
    before = sample.everything()
    sample.load()
    after = sample.everything()
    for name in EVERYTHING:
        assert after[name] == before[name], name
