"""Calls to many organizations: to whom, once whatever happens, and not to who does not want them."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

import icalendar
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from tejido_notifications import hours
from tejido_notifications.app import create_app
from tejido_notifications.campaigns import queries, service, tasks
from tejido_notifications.campaigns.schemas import CampaignIn
from tejido_notifications.contacts.service import marks
from tejido_notifications.delivery import tasks as sending
from tejido_notifications.events import HANDLERS
from tejido_notifications.models import Address, Campaign, Contact, Delivery, KnownOrganization, OptOut
from tejido_notifications.settings import jurisdiction
from tejido_shared.clock import moved_to, now
from tejido_shared.contracts import OrganizationChanged, envelope_of
from tejido_shared.db import Database
from tejido_shared.ids import new_id
from tejido_shared.inbox import receive
from tejido_shared.testing import Issuer

from .conftest import MailServer

MONDAY = datetime(2026, 11, 30, 15, 0, tzinfo=UTC)  # 10:00 in Bogotá
FRIDAY_EVENING = datetime(2026, 12, 4, 23, 0, tzinfo=UTC)
CALL: dict[str, Any] = {
    "name": "Capacitación de diciembre",
    "subject": "Convocatoria para {organization_name}",
    "text": "Señores de {organization_name} ({organization_number}):\n\nLos invitamos {{a todos}}.",
    "meeting": {
        "summary": "Capacitación: presupuesto",
        "starts_at": "2026-12-15T14:00:00Z",
        "ends_at": "2026-12-15T16:00:00Z",
        "place": "Sala 1, Calle 0",
    },
}


@pytest.fixture
def client(databases: dict[str, Database]) -> Iterator[TestClient]:
    with TestClient(create_app()) as client:
        yield client


@pytest.fixture
def supervisor(issuer: Issuer) -> dict[str, str]:
    return issuer.headers("supervision", sub="supervisora-1")


def organizations(database: Database, wanted: dict[str, int]) -> dict[UUID, str]:
    """So many organizations of each sort: `mail`, `no_contact`, `unverified`, `bounced`, `opted_out`, `second` (the first address
    opted out, the second did not), `cancelled`. Returns what each is."""
    made: dict[UUID, str] = {}
    with database.tx() as session:
        for sort, count in wanted.items():
            for _ in range(count):
                number = len(made)
                one = KnownOrganization(
                    id=new_id(),
                    version=1,
                    number=f"BOG-{number:05}",
                    name=f"Junta {number} de {sort}",
                    organization_type="junta",
                    status="cancelled" if sort == "cancelled" else "registered",
                    territory="suba" if number % 2 else "usme",
                    themes=["agua"] if number % 3 else ["agua", "deporte"],
                )
                made[one.id] = sort
                session.add(one)
                if sort == "no_contact":
                    continue
                contact = Contact(id=new_id(), kind="organization", ref=str(one.id), name=one.name)
                session.add(contact)
                session.flush()
                channels = ["email", "in_app"] if sort == "second" else ["email"]
                for rank, channel in enumerate(channels):
                    value = f"{sort}{number}@correo.example" if channel == "email" else f"account:{number}"
                    address = Address(
                        id=new_id(),
                        contact_id=contact.id,
                        channel=channel,
                        value=value,
                        fingerprint=marks(channel, value)[0],
                        rank=rank,
                        verified_at=None if sort == "unverified" else now(),
                        bounced_at=now() if sort == "bounced" else None,
                        unsubscribe_token=f"{number}-{channel}-{new_id()}",
                    )
                    session.add(address)
                    session.flush()
                    if sort in ("opted_out", "second") and not rank:
                        session.add(OptOut(address_id=address.id, category="campaign", at=now(), how="one_click"))
    return made


EVERY_SORT = {
    "mail": 12,
    "no_contact": 3,
    "unverified": 2,
    "bounced": 2,
    "opted_out": 4,
    "second": 1,
    "cancelled": 5,
}


def drafted(client: TestClient, headers: dict[str, str], **changes: Any) -> Any:
    answer = client.post("/v1/campaigns", json={**CALL, **changes}, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


def act(client: TestClient, headers: dict[str, str], campaign: Any, what: str) -> Any:
    answer = client.post(f"/v1/campaigns/{campaign['id']}/{what}", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def shown(client: TestClient, headers: dict[str, str], campaign: Any) -> Any:
    return client.get(f"/v1/campaigns/{campaign['id']}", headers=headers).json()


def deliveries(database: Database, campaign: Any) -> list[Delivery]:
    with database.tx() as session:
        query = sa.select(Delivery).where(Delivery.cause_id == UUID(campaign["id"])).order_by(Delivery.recipient_key)
        return list(session.scalars(query))


def test_what_the_registry_tells_is_known(databases: dict[str, Database], database: Database) -> None:
    event = OrganizationChanged(
        organization_id=new_id(), number="1", name="Junta", organization_type="junta", status="registered"
    )

    def tell(version: int, **changes: Any) -> None:
        envelope = envelope_of(
            event.model_copy(update=changes),
            event_id=new_id(),
            subject_version=version,
            occurred_at=now(),
            correlation_id="",
            traceparent=None,
        )
        assert receive(database, HANDLERS, [{"envelope": envelope.model_dump(mode="json"), "sent": 1}])

    tell(2, name="Junta nueva", territory="suba", themes=["agua"])
    tell(1)
    tell(2, name="otra")
    with database.tx() as session:
        known = session.get_one(KnownOrganization, event.organization_id)
        assert (known.version, known.name, known.territory, known.themes) == (2, "Junta nueva", "suba", ["agua"])
    tell(3, status="cancelled")
    with database.tx() as session:
        known = session.get_one(KnownOrganization, event.organization_id)
        assert (known.version, known.name, known.status, known.themes) == (3, "Junta", "cancelled", [])


def test_a_call_from_draft_to_done(
    client: TestClient, database: Database, supervisor: dict[str, str], issuer: Issuer, mail_server: MailServer
) -> None:
    made = organizations(database, EVERY_SORT)
    with moved_to(MONDAY):
        campaign = drafted(client, supervisor)
        dry = client.get(f"/v1/campaigns/{campaign['id']}/dry-run", headers=supervisor).json()
        assert dry["left_out"] == {"no_address": 5, "bounced": 2, "opted_out": 4}
        assert (dry["total"], dry["messages"], len(dry["sample"])) == (24, 13, 5)
        assert "@" not in "".join(one["text"] for one in dry["sample"]).replace(jurisdiction().entity.email, "")
        assert deliveries(database, campaign) == []

        act(client, supervisor, campaign, "start")
        while tasks.advance():
            pass
        told = deliveries(database, campaign)
        assert {UUID(one.recipient_key) for one in told} == {
            id_ for id_, sort in made.items() if sort in ("mail", "second")
        }
        running = shown(client, issuer.headers("jefatura:oficina-juridica"), campaign)
        assert (running["status"], running["queued"]) == ("running", dry["messages"])
        assert running["progress"]["left_out"] == dry["left_out"]
        assert running["progress"]["total"] == dry["total"]

        sending.send_due()
        tasks.advance()
        done = shown(client, supervisor, campaign)
    assert (done["status"], done["progress"]["delivered"], done["progress"]["waiting"]) == ("done", 13, 0)
    assert done["ended_at"] is not None
    by_address = dict(zip(mail_server.recipients, mail_server.received, strict=True))
    assert len(by_address) == 12
    for sample in dry["sample"]:
        if sample["channel"] == "email":
            [mail] = [one for one in mail_server.received if one["Subject"] == sample["subject"]]
            body = mail.get_body(("plain",))
            assert body is not None
            assert "\n".join(sample["text"].split()) in "\n".join(body.get_content().split())
            assert "{a todos}" in sample["text"]
            assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    uids = set()
    for mail in mail_server.received:
        [calendar] = [part for part in mail.walk() if part.get_content_type() == "text/calendar"]
        assert calendar.get_param("method") == "PUBLISH"
        event: Any
        [event] = icalendar.Calendar.from_ical(calendar.get_content()).walk("VEVENT")
        assert event["DTSTART"].dt == datetime(2026, 12, 15, 9, tzinfo=jurisdiction().zone)
        assert event["DTSTART"].params["TZID"] == jurisdiction().time_zone
        uids.add(str(event["UID"]))
    assert uids == {f"{campaign['id']}@tejido"}


@pytest.mark.parametrize(
    ("segment", "fits"),
    [
        ({}, lambda o: o.status == "registered"),
        ({"statuses": []}, lambda o: True),
        ({"statuses": ["cancelled"]}, lambda o: o.status == "cancelled"),
        ({"territories": ["suba"], "themes": ["deporte"]}, lambda o: o.territory == "suba" and "deporte" in o.themes),
        ({"types": ["biblioteca"]}, lambda o: False),
        ({"themes": ["deporte", "arte"], "statuses": ["registered"]}, lambda o: "deporte" in o.themes),
    ],
)
def test_segments(
    client: TestClient, database: Database, supervisor: dict[str, str], segment: dict[str, Any], fits: Any
) -> None:
    organizations(database, {"mail": 20, "cancelled": 4})
    campaign = drafted(client, supervisor, segment=segment, meeting=None)
    with database.tx() as session:
        everybody = list(session.scalars(sa.select(KnownOrganization)))
    dry = client.get(f"/v1/campaigns/{campaign['id']}/dry-run", headers=supervisor).json()
    registered = segment.get("statuses", ["registered"]) == ["registered"]
    expected = [o for o in everybody if fits(o) and (o.status == "registered" or not registered)]
    assert dry["total"] == len(expected)
    if expected:
        one = drafted(client, supervisor, segment={**segment, "ids": [str(expected[0].id)]}, meeting=None)
        assert client.get(f"/v1/campaigns/{one['id']}/dry-run", headers=supervisor).json()["total"] == 1


@pytest.mark.parametrize("batch", [1, 3, 500])
def test_a_kill_between_batches_changes_nothing(
    client: TestClient,
    database: Database,
    supervisor: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    batch: int,
) -> None:
    with moved_to(MONDAY):
        organizations(database, EVERY_SORT)
        monkeypatch.setattr(service, "BATCH", batch)
        campaign = drafted(client, supervisor)
        act(client, supervisor, campaign, "start")
        for kill in range(100):
            try:
                with database.tx() as session:
                    worked = service.step(session)
                    assert worked or session.get_one(Campaign, UUID(campaign["id"])).queued_at
                    if kill % 2 == 0:
                        raise InterruptedError
                if not worked:
                    break
            except InterruptedError:
                pass
        # A worker of an older cursor comes once more over what was queued.
        with database.tx() as session:
            session.execute(sa.update(Campaign).values(cursor=None, queued_at=None, version=Campaign.version + 1))
        before = [(one.id, one.recipient_key) for one in deliveries(database, campaign)]
        while tasks.advance():
            pass
        assert [(one.id, one.recipient_key) for one in deliveries(database, campaign)] == before
        after = shown(client, supervisor, campaign)
        assert len(before) == after["queued"] == 13
        assert Counter(one.channel for one in deliveries(database, campaign)) == {"email": 12, "in_app": 1}


def test_pause_resume_and_cancel(
    client: TestClient, database: Database, supervisor: dict[str, str], mail_server: MailServer
) -> None:
    organizations(database, {"mail": 10})
    with moved_to(MONDAY):
        campaign = drafted(client, supervisor)
        act(client, supervisor, campaign, "start")
        while tasks.advance():
            pass
        act(client, supervisor, campaign, "pause")
        sending.send_due()  # before anything was held: the last look holds it
        assert mail_server.received == []
        while tasks.advance():
            pass
        assert {one.next_attempt_at for one in deliveries(database, campaign)} == {None}
        assert shown(client, supervisor, campaign)["progress"]["waiting"] == 10
        act(client, supervisor, campaign, "resume")
        tasks.advance()
        mail_server.script.extend(["rcpt 450 4.2.1 later"] * 2)
        while sending.send_due():  # a run ends after some seconds
            pass
        assert len(mail_server.received) == 8
        act(client, supervisor, campaign, "cancel")
        with database.tx() as session:
            assert service.step(session)
            assert not service.step(session)
    progress = shown(client, supervisor, campaign)["progress"]
    assert (progress["delivered"], progress["cancelled"], progress["waiting"]) == (8, 2, 0)
    with moved_to(MONDAY + timedelta(hours=1)):
        sending.send_due()
    assert len(mail_server.received) == 8
    for what in ("start", "pause", "resume", "cancel"):
        answer = client.post(f"/v1/campaigns/{campaign['id']}/{what}", headers=supervisor)
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:tejido:problem:campaign_cancelled")


def test_who_opts_out_meanwhile_gets_nothing(
    client: TestClient, database: Database, supervisor: dict[str, str], mail_server: MailServer
) -> None:
    organizations(database, {"mail": 3})
    with moved_to(MONDAY):
        campaign = drafted(client, supervisor)
        act(client, supervisor, campaign, "start")
        while tasks.advance():
            pass
        with database.tx() as session:
            one, two, _ = session.scalars(sa.select(Address).order_by(Address.id)).all()
            session.add(OptOut(address_id=one.id, category="campaign", at=now(), how="one_click"))
            two.bounced_at = now()
        sending.send_due()
        while tasks.advance():
            pass
        done = shown(client, supervisor, campaign)
    assert len(mail_server.received) == 1
    assert (done["status"], done["progress"]["cancelled"], done["progress"]["delivered"]) == ("done", 2, 1)


def test_only_while_the_offices_are_open(
    client: TestClient, database: Database, supervisor: dict[str, str], mail_server: MailServer
) -> None:
    organizations(database, {"mail": 2})
    with moved_to(FRIDAY_EVENING):
        patient = drafted(client, supervisor)
        urgent = drafted(client, supervisor, office_hours=False, meeting=None)
        for campaign in (patient, urgent):
            act(client, supervisor, campaign, "start")
        while tasks.advance():
            pass
        sending.send_due()
        assert len(mail_server.received) == 2
        assert not [part for part in mail_server.received[0].walk() if part.get_content_type() == "text/calendar"]
        assert shown(client, supervisor, urgent)["progress"]["delivered"] == 2
        [opens] = {one.next_attempt_at for one in deliveries(database, patient)}
        assert opens == hours.in_office_hours(FRIDAY_EVENING)
    evening = datetime(2026, 12, 7, 23, 0, tzinfo=UTC)
    with moved_to(evening):  # what was due all day and was not sent waits for the next one; the 8th is a holiday
        tasks.advance()
        sending.send_due()
        [opens] = {one.next_attempt_at for one in deliveries(database, patient)}
        assert opens is not None
        assert opens.astimezone(jurisdiction().zone).day == 9
        assert len(mail_server.received) == 2
    with moved_to(opens + timedelta(seconds=1)):
        sending.send_due()
        assert len(mail_server.received) == 4


def meeting_at(begins: datetime) -> dict[str, Any]:
    ends = begins + timedelta(hours=1)
    return {**CALL["meeting"], "starts_at": begins.isoformat(), "ends_at": ends.isoformat()}


def test_no_invitation_goes_out_once_the_meeting_has_begun(
    client: TestClient, database: Database, supervisor: dict[str, str], mail_server: MailServer
) -> None:
    organizations(database, {"mail": 2})
    begins = MONDAY + timedelta(hours=1)
    with moved_to(MONDAY):
        invitation, call = (
            drafted(client, supervisor, meeting=meeting_at(begins)),
            drafted(client, supervisor, meeting=None),
        )
        for campaign in (invitation, call):
            act(client, supervisor, campaign, "start")
        while tasks.advance():
            pass
    with moved_to(begins):
        sending.send_due()
        assert len(mail_server.received) == 2
        assert {one.status for one in deliveries(database, call)} == {"delivered"}
        for one in deliveries(database, invitation):
            assert (one.status, one.next_attempt_at) == ("cancelled", None)
            assert one.last_error == "La invitación habría llegado cuando la reunión ya había empezado."
        tasks.advance()
        assert shown(client, supervisor, invitation)["status"] == "done"


@pytest.mark.parametrize("look", [sending.send_due, tasks.advance])
def test_an_invitation_does_not_wait_for_the_offices_to_open_after_the_meeting(
    client: TestClient, database: Database, supervisor: dict[str, str], look: Callable[[], object]
) -> None:
    organizations(database, {"mail": 2})
    with moved_to(FRIDAY_EVENING - timedelta(hours=3)):
        campaign = drafted(client, supervisor, meeting=meeting_at(FRIDAY_EVENING + timedelta(hours=15)))
        act(client, supervisor, campaign, "start")
        while tasks.advance():
            pass
        assert {one.status for one in deliveries(database, campaign)} == {"pending"}
    with moved_to(FRIDAY_EVENING):
        look()
    assert {(one.status, one.next_attempt_at) for one in deliveries(database, campaign)} == {("cancelled", None)}


def test_an_invitation_does_not_wait_for_quiet_hours_to_end_after_the_meeting(
    client: TestClient, database: Database, supervisor: dict[str, str]
) -> None:
    organizations(database, {"mail": 1})
    with database.tx() as session:
        session.execute(sa.update(Contact).values(quiet_from=time(9), quiet_until=time(11), version=2))
    with moved_to(MONDAY):
        campaign = drafted(client, supervisor, meeting=meeting_at(MONDAY + timedelta(minutes=30)))
        act(client, supervisor, campaign, "start")
        while tasks.advance():
            pass
        [one] = deliveries(database, campaign)
        assert (one.status, one.next_attempt_at) == ("cancelled", None)
        assert one.last_error == "La invitación habría llegado cuando la reunión ya había empezado."
        assert shown(client, supervisor, campaign)["status"] == "done"


@given(st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)))
def test_office_hours(instant: datetime) -> None:
    opens = hours.in_office_hours(instant)
    local, clock = opens.astimezone(jurisdiction().zone), jurisdiction().procedure.office_hours
    assert opens >= instant
    assert hours.in_office_hours(opens) == opens
    assert clock.opens <= local.time() < clock.closes
    assert jurisdiction().counting.weekdays[local.weekday()] == "1"
    assert not [closure for closure in jurisdiction().closures if closure.starts_on <= local.date() <= closure.ends_on]
    if opens > instant:
        assert local.time() == clock.opens


def test_quiet_hours_of_an_organization(client: TestClient, database: Database, supervisor: dict[str, str]) -> None:
    organizations(database, {"mail": 1})
    with database.tx() as session:
        session.execute(sa.update(Contact).values(quiet_from=time(9), quiet_until=time(11), version=2))
    with moved_to(MONDAY):
        campaign = drafted(client, supervisor)
        act(client, supervisor, campaign, "start")
        tasks.advance()
        [one] = deliveries(database, campaign)
        assert one.next_attempt_at == MONDAY + timedelta(hours=1) == one.send_from


def test_a_draft_is_changed_by_who_saw_it(client: TestClient, supervisor: dict[str, str]) -> None:
    campaign = drafted(client, supervisor)
    where = f"/v1/campaigns/{campaign['id']}"
    read = client.get(where, headers=supervisor)
    assert client.put(where, json=CALL, headers=supervisor).status_code == 428
    changed = {**CALL, "name": "Otra", "meeting": None, "segment": {"territories": ["suba"]}}
    match = {**supervisor, "If-Match": read.headers["etag"]}
    answer = client.put(where, json=changed, headers=match)
    assert (answer.status_code, answer.json()["name"], answer.json()["meeting"]) == (200, "Otra", None)
    assert client.put(where, json=CALL, headers=match).status_code == 412
    once = {**supervisor, "Idempotency-Key": "k"}
    started = [client.post(f"{where}/start", headers=once) for _ in range(2)]
    assert [one.status_code for one in started] == [200, 200]
    assert started[0].json() == started[1].json()
    late = client.put(where, json=CALL, headers={**supervisor, "If-Match": "*"})
    assert (late.status_code, late.json()["type"]) == (409, "urn:tejido:problem:campaign_running")
    listed = client.get("/v1/campaigns", params={"status": "running"}, headers=supervisor).json()["items"]
    assert [one["id"] for one in listed] == [campaign["id"]]


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"subject": "Hola {nombre}"}, "body.subject", "placeholder"),
        ({"text": "{organization_name.__class__}"}, "body.text", "placeholder"),
        ({"text": "{organization_name!r}"}, "body.text", "placeholder"),
        ({"text": "{0}"}, "body.text", "placeholder"),
        ({"text": "sin cerrar {"}, "body.text", "placeholder"),
        ({"text": "{organization_name:>{organization_number}}"}, "body.text", "placeholder"),
        (
            {"meeting": {**CALL["meeting"], "ends_at": "2026-12-15T14:00:00Z"}},
            "body.meeting.ends_at",
            "meeting_backwards",
        ),
        (
            {
                "meeting": {
                    **CALL["meeting"],
                    "starts_at": "9999-12-31T23:59:58-12:00",
                    "ends_at": "9999-12-31T23:59:59-12:00",
                }
            },
            "body.meeting.ends_at",
            "meeting_far",
        ),
        ({"meeting": {**CALL["meeting"], "ends_at": "2999-12-15T14:00:00Z"}}, "body.meeting.ends_at", "meeting_far"),
        ({"segment": {"types": ["x"] * 101}}, "body.segment.types", "too_long"),
        ({"segment": {"status": []}}, "body.segment.status", "extra_forbidden"),
        ({"subject": "dos\nlíneas"}, "body.subject", "string_pattern_mismatch"),
        ({"text": "\0"}, "body.text", "string_pattern_mismatch"),
    ],
)
def test_what_cannot_be_sent_is_refused(
    client: TestClient, supervisor: dict[str, str], changes: dict[str, Any], field: str, code: str
) -> None:
    answer = client.post("/v1/campaigns", json={**CALL, **changes}, headers=supervisor)
    assert answer.status_code == 422, answer.text
    assert (field, code) in [(error["field"], error["code"]) for error in answer.json()["errors"]]


@pytest.mark.parametrize(
    ("instant", "office_hours", "status"),
    [
        (MONDAY, False, 409),
        (MONDAY - timedelta(minutes=1), True, 200),
        (MONDAY - timedelta(hours=12), True, 200),
        (FRIDAY_EVENING, True, 409),  # the offices open after the meeting
        (FRIDAY_EVENING, False, 200),
    ],
)
def test_what_would_come_after_the_meeting_is_not_begun(
    client: TestClient, supervisor: dict[str, str], instant: datetime, office_hours: bool, status: int
) -> None:
    begins = FRIDAY_EVENING + timedelta(hours=15) if instant == FRIDAY_EVENING else MONDAY
    with moved_to(begins - timedelta(days=4)):
        draft, paused = (
            drafted(client, supervisor, meeting=meeting_at(begins), office_hours=office_hours) for _ in range(2)
        )
        act(client, supervisor, paused, "start")
        act(client, supervisor, paused, "pause")
    with moved_to(instant):
        tried = client.get(f"/v1/campaigns/{draft['id']}/dry-run", headers=supervisor)
        started = client.post(f"/v1/campaigns/{draft['id']}/start", headers=supervisor)
        resumed = client.post(f"/v1/campaigns/{paused['id']}/resume", headers=supervisor)
        for answer in (tried, started, resumed):
            assert answer.status_code == status, answer.text
            if status == 409:
                said = answer.json()
                assert (said["type"], said["title"]) == ("urn:tejido:problem:meeting_past", "Llegaría tarde")
        assert shown(client, supervisor, paused)["status"] == ("paused" if status == 409 else "running")


def test_who_calls_and_who_looks(client: TestClient, issuer: Issuer, supervisor: dict[str, str]) -> None:
    campaign = drafted(client, supervisor, meeting=None)
    for group, reads, writes in (
        ("administracion", 200, 201),
        ("jefatura:oficina-juridica", 200, 403),
        ("auditoria", 403, 403),
        ("ciudadania", 403, 403),
    ):
        headers = issuer.headers(group)
        assert client.get(f"/v1/campaigns/{campaign['id']}", headers=headers).status_code == reads
        assert client.post("/v1/campaigns", json=CALL, headers=headers).status_code == writes
        dry = client.get(f"/v1/campaigns/{campaign['id']}/dry-run", headers=headers).status_code
        assert dry == (200 if writes == 201 else 403)
    assert client.get(f"/v1/campaigns/{new_id()}", headers=supervisor).status_code == 404


def test_nothing_is_shown_of_addresses_or_read_encrypted(database: Database) -> None:
    """One address that cannot be decrypted harms no campaign."""
    with moved_to(MONDAY):
        organizations(database, {"mail": 2})
        with database.tx() as session:
            session.execute(sa.text("update address set value = 'x'"))
            body = CampaignIn.model_validate(CALL)
            campaign = service.draft(session, body, "x")
            service.act(session, campaign, "start")
        while tasks.advance():
            pass
        with database.tx() as session:
            assert session.scalar(sa.select(sa.func.count()).select_from(queries.DELIVERY)) == 2
