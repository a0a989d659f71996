"""Whose an address is, what its owner wants, and that nobody speaks for somebody else."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from tejido_notifications.app import create_app
from tejido_notifications.contacts import service as contacts
from tejido_notifications.delivery import service as delivery
from tejido_notifications.delivery import tasks
from tejido_notifications.models import Address, Contact, Delivery, KnownOrganization, OptOut
from tejido_notifications.settings import jurisdiction, settings
from tejido_shared import personal
from tejido_shared.clock import moved_to, now
from tejido_shared.db import Database
from tejido_shared.ids import new_id
from tejido_shared.testing import Issuer

from .conftest import MailServer

ANA, BEA = "ana.munoz@correo.example", "bea@correo.example"
ORGANIZATION = UUID("0192f0c1-0000-7000-8000-000000000001")
ME = "/v1/me/contact"
MINE = f"{ME}/addresses/email"
ITS = f"/v1/organizations/{ORGANIZATION}/contact"


@pytest.fixture
def client(databases: dict[str, Database]) -> Iterator[TestClient]:
    with TestClient(create_app()) as client:
        yield client


def queue(database: Database, address: str, template: str, *, channel: str = "email", **more: Any) -> Delivery | None:
    """Asks for one message and returns it, if it is to be sent."""
    cause = delivery.Cause(new_id(), "requests.submitted", new_id(), now())
    with database.tx() as session:
        delivery.queue(
            session,
            cause,
            audience="citizen",
            address=address,
            language="es",
            context="{}",
            template=template,
            channel=channel,
            **more,
        )
        return session.scalar(sa.select(Delivery).where(Delivery.cause_id == cause.id))


def code_of(mail_server: MailServer) -> str:
    tasks.send_due()
    body = mail_server.received[-1].get_body(("plain",))
    assert body is not None
    [code] = re.findall(r"\b\d{6}\b", body.get_content())
    return str(code)


def prove(client: TestClient, mail_server: MailServer, headers: dict[str, str], where: str, value: str) -> Any:
    """Gives an address and verifies it."""
    assert client.put(where, json={"value": value}, headers=headers).status_code == 200
    assert client.post(f"{where}/code", headers=headers).status_code == 200
    answer = client.post(f"{where}/verify", json={"code": code_of(mail_server)}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def by_channel(body: Any, channel: str = "email") -> list[Any]:
    return [address for address in body["addresses"] if address["channel"] == channel]


# What an address is


@pytest.mark.parametrize(
    ("channel", "spellings"),
    [
        ("email", ["Ana.Muñoz@Correo.example", " ana.muñoz@correo.EXAMPLE", "ana.mun\u0303oz@correo.example"]),
        ("email", ["a@muñoz.example", "A@xn--muoz-hqa.example", "a@MUÑOZ.example"]),
        ("sms", ["300 123 4567", "+57 300 123 4567", "+573001234567", "(300) 123-4567"]),
        ("whatsapp_reserve", ["3001234567", "+57 (300) 1234567"]),
    ],
)
def test_however_it_is_spelt(channel: str, spellings: list[str]) -> None:
    assert len({contacts.marks(channel, one)[0] for one in spellings}) == 1
    assert contacts.marks("email", spellings[0]) != contacts.marks("sms", spellings[0])


@given(st.sampled_from(["email", "sms", "web_push", "webhook", "in_app", "telegram"]), st.text())
def test_anything_has_marks(channel: str, address: str) -> None:
    assert contacts.marks(channel, address) == contacts.marks(channel, f" {address} ")


# What its owner wants


def known(quiet: tuple[time, time] | None = None) -> contacts.Known:
    return contacts.Known(None, True, quiet, False, frozenset())


instants = st.datetimes(datetime(2026, 1, 1), datetime(2029, 1, 1), timezones=st.just(UTC))


@given(instants, st.times(), st.times())
def test_nothing_is_sent_in_quiet_hours(instant: datetime, begin: time, end: time) -> None:
    after = known((begin, end)).after_quiet_hours(instant)
    assert instant <= after <= instant + timedelta(days=1)
    local, clock = after.astimezone(jurisdiction().zone), instant.astimezone(jurisdiction().zone).time()
    quiet = begin <= clock < end if begin < end else clock >= begin or clock < end
    assert (local.time() == end) if quiet else (after == instant)


def test_a_night_in_bogota() -> None:
    night = known((time(22), time(6, 30)))
    for hour, expected in ((2, 2), (3, 11.5), (4, 11.5), (11, 11.5), (12, 12)):  # 03:00 UTC is 22:00 there
        day = datetime(2026, 12, 4, tzinfo=UTC)
        assert night.after_quiet_hours(day + timedelta(hours=hour)) == day + timedelta(hours=expected)


@given(instants)
def test_digests_come_when_the_offices_open(instant: datetime) -> None:
    pack = jurisdiction()
    closed = {day for closure in pack.closures for day in closure.days()}
    opens, first = pack.procedure.office_hours.opens, instant.astimezone(pack.zone).date()
    openings = (datetime.combine(first + timedelta(days=n), opens, pack.zone) for n in range(60))
    after = (one for one in openings if one > instant and one.date() not in closed)
    assert known().next_digest(instant) == next(one for one in after if pack.counting.weekdays[one.weekday()] == "1")


def test_no_digest_on_a_day_without_offices() -> None:
    wednesday = datetime(2027, 3, 24, 23, tzinfo=UTC)  # before Holy Thursday and Good Friday
    assert known().next_digest(wednesday).astimezone(jurisdiction().zone).date() == date(2027, 3, 29)


# A person


def test_an_account_proves_its_address_and_says_what_it_wants(
    client: TestClient, database: Database, issuer: Issuer, mail_server: MailServer
) -> None:
    ana = issuer.headers("ciudadania", sub="ana")
    empty = client.get(ME, headers=ana)
    assert (empty.headers["ETag"], empty.json()["addresses"], empty.json()["language"]) == ('"0"', [], "es")
    wishes = {"language": "es", "quiet_from": "21:00", "quiet_until": "07:00", "digest": True}
    assert client.put(ME, json=wishes, headers=ana).status_code == 428
    stored = client.put(ME, json=wishes, headers={**ana, "If-Match": '"0"'})
    assert (stored.status_code, stored.json()["quiet_until"]) == (200, "07:00:00")
    assert client.put(ME, json=wishes, headers={**ana, "If-Match": '"0"'}).status_code == 412
    for bad in ({"quiet_from": "21:00"}, {"quiet_from": "21:00", "quiet_until": "21:00"}, {"quiet_from": "21:00Z"}):
        assert client.put(ME, json=bad, headers={**ana, "If-Match": "*"}).status_code == 422

    for bad_value in ("nobody", "a@b", "a b@correo.example"):
        refused = client.put(MINE, json={"value": bad_value}, headers=ana)
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "address_email")
    assert client.put(f"{ME}/addresses/fax", json={"value": "1"}, headers=ana).status_code == 422
    assert client.post(f"{MINE}/code", headers=ana).json()["type"].endswith(":address_none")
    body = prove(client, mail_server, ana, MINE, ANA)
    [mine] = by_channel(body)
    assert mine["value"] == ANA
    assert mine["verified_at"]
    assert client.post(f"{MINE}/code", headers=ana).json()["type"].endswith(":already_verified")

    found = queue(database, "Ana.Munoz@CORREO.example", "requests_reminder")
    assert found is not None
    assert (found.status, found.contact_id) == ("held", UUID(str(contact_id(database, "ana"))))
    assert queue(database, ANA, "requests_answered").status == "pending"  # type: ignore[union-attr]

    refused = client.put(f"{MINE}/opt-outs/legal", headers=ana)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:tejido:problem:legal_needed")
    for _ in range(2):
        assert client.put(f"{MINE}/opt-outs/service", headers=ana).status_code == 200
    assert queue(database, ANA, "requests_reminder") is None
    assert queue(database, ANA, "requests_answered") is not None

    # A new address takes the old one's place when it is proved, and inherits its wishes.
    waiting = client.put(MINE, json={"value": BEA}, headers=ana).json()
    assert {a["value"]: a["verified_at"] is not None for a in by_channel(waiting)} == {ANA: True, BEA: False}
    assert queue(database, BEA, "requests_reminder") is not None
    moved = prove(client, mail_server, ana, MINE, BEA)
    assert [(a["value"], a["opted_out"]) for a in by_channel(moved)] == [(BEA, ["service"])]
    assert queue(database, BEA, "requests_reminder") is None
    client.delete(f"{MINE}/opt-outs/service", headers=ana)
    assert queue(database, BEA, "requests_reminder") is not None
    assert by_channel(client.delete(MINE, headers=ana).json()) == []
    assert queue(database, ANA, "requests_reminder") is None, "what an address does not want outlives its contact"


def contact_id(database: Database, ref: str) -> UUID | None:
    with database.tx() as session:
        return session.scalar(sa.select(Contact.id).where(Contact.ref == ref))


def test_codes_are_few_short_lived_and_not_guessed(
    client: TestClient, database: Database, issuer: Issuer, mail_server: MailServer
) -> None:
    ana = issuer.headers("ciudadania", sub="ana")

    def verify(code: str) -> str:
        return str(client.post(f"{MINE}/verify", json={"code": code}, headers=ana).json().get("type", "verified"))

    client.put(MINE, json={"value": ANA}, headers=ana)
    assert verify("123456").endswith(":code_none")
    keyed = {**ana, "Idempotency-Key": "one"}
    assert [client.post(f"{MINE}/code", headers=keyed).status_code for _ in range(2)] == [200, 200]
    assert client.post(f"{MINE}/code", headers=ana).json()["type"].endswith(":code_too_soon")
    code = code_of(mail_server)
    assert len(mail_server.received) == 1
    assert code not in str(mail_server.received[-1]["Subject"])
    wrong = f"{(int(code) + 1) % 10**6:06}"
    for _ in range(5):
        assert verify(wrong).endswith(":invalid")
    assert verify(code).endswith(":code_spent")

    begin = now()
    with moved_to(begin + timedelta(minutes=2)):
        client.post(f"{MINE}/code", headers=ana)
        code = code_of(mail_server)
    with moved_to(begin + timedelta(minutes=18)):
        assert verify(code).endswith(":code_expired")
    with moved_to(begin + timedelta(minutes=20)):
        client.post(f"{MINE}/code", headers=ana)
        code = code_of(mail_server)
        assert verify(f"{code[:3]} {code[3:]}") == "verified"
        assert verify(code) == "verified", "safe to repeat"

    # Whoever asks: an address gets five codes a day.
    for minutes in (30, 32):
        with moved_to(begin + timedelta(minutes=minutes)):
            other = issuer.headers("ciudadania", sub=f"other-{minutes}")
            client.put(MINE, json={"value": ANA.upper()}, headers=other)
            assert client.post(f"{MINE}/code", headers=other).status_code == 200
    with moved_to(begin + timedelta(minutes=34)):
        client.put(MINE, json={"value": ANA}, headers=issuer.headers("ciudadania", sub="last"))
        last = client.post(f"{MINE}/code", headers=issuer.headers("ciudadania", sub="last"))
        assert last.json()["type"].endswith(":code_too_often")
    with database.tx() as session:
        assert (
            session.scalar(
                sa.text("select count(*) from address where code::text like '%' || :code || '%'"), {"code": code}
            )
            == 0
        )


def test_what_a_stranger_says_counts_for_nothing(
    client: TestClient, database: Database, issuer: Issuer, mail_server: MailServer
) -> None:
    stranger = issuer.headers("ciudadania", sub="stranger")
    prefs = {"digest": True, "quiet_from": "00:00", "quiet_until": "23:59"}
    client.put(ME, json=prefs, headers={**stranger, "If-Match": '"0"'})
    client.put(MINE, json={"value": ANA}, headers=stranger)
    assert client.put(f"{MINE}/opt-outs/service", headers=stranger).json()["type"].endswith(":not_verified")
    found = queue(database, ANA, "requests_reminder")
    assert found is not None
    assert (found.status, found.contact_id) == ("pending", None)
    # Nor does it keep the owner away, nor does it take the address from them.
    prove(client, mail_server, issuer.headers("ciudadania", sub="ana"), MINE, ANA)
    client.put(MINE, json={"value": ANA}, headers=stranger)
    found = queue(database, ANA, "requests_reminder")
    assert found is not None
    assert found.contact_id == contact_id(database, "ana")


def test_a_message_that_came_back_falls_to_the_next_channel(
    client: TestClient, database: Database, issuer: Issuer, mail_server: MailServer
) -> None:
    ana = issuer.headers("ciudadania", sub="ana")
    prove(client, mail_server, ana, MINE, ANA)
    notice = queue(database, ANA, "requests_answered")
    assert notice is not None
    with database.tx() as session:
        delivery.bounced(session, session.get_one(Delivery, notice.id), "5.1.1 no such user")
        assert notice.fingerprint is not None
        contacts.bounced(session, notice.fingerprint, "5.1.1 no such user")
    with database.tx() as session:
        told = session.scalars(sa.select(Delivery).where(Delivery.fallback_of == notice.id)).one()
        assert (told.channel, told.recipient) == ("in_app", "account:ana")
    assert queue(database, ANA, "requests_reminder") is None
    assert queue(database, ANA, "requests_answered") is not None
    [shown] = by_channel(client.get(ME, headers=ana).json())
    assert shown["bounce_reason"] == "5.1.1 no such user"
    # Proved anew, it is alive again.
    with moved_to(now() + timedelta(minutes=2)):
        client.post(f"{MINE}/code", headers=ana)
        code = code_of(mail_server)
        [shown] = by_channel(client.post(f"{MINE}/verify", json={"code": code}, headers=ana).json())
    assert shown["bounced_at"] is None
    assert queue(database, ANA, "requests_reminder") is not None


def test_a_code_never_goes_another_way(
    client: TestClient, database: Database, issuer: Issuer, mail_server: MailServer
) -> None:
    ana = issuer.headers("ciudadania", sub="ana")
    prove(client, mail_server, ana, MINE, ANA)
    with database.tx() as session:
        contacts.bounced(session, contacts.marks("email", ANA)[0], "5.1.1")
    with moved_to(now() + timedelta(minutes=2)):
        client.post(f"{MINE}/code", headers=ana)
        mail_server.script.append("rcpt 550 5.1.1 nobody")
        tasks.send_due()
    with database.tx() as session:
        assert session.scalars(sa.select(Delivery.channel).distinct()).all() == ["email"]


# An organization


def test_an_organization_is_reached_where_its_representative_is(
    client: TestClient, database: Database, issuer: Issuer, mail_server: MailServer
) -> None:
    its = issuer.headers(f"representante:{ORGANIZATION}", sub="ana")
    where = f"{ITS}/addresses/email"
    prove(client, mail_server, its, MINE, ANA)
    with moved_to(now() + timedelta(minutes=2)):
        prove(client, mail_server, its, where, ANA)  # the same mailbox, for both
    assert by_channel(client.get(ME, headers=its).json())[0]["verified_at"]
    client.put(f"{MINE}/opt-outs/campaign", headers=its)
    assert by_channel(client.get(ITS, headers=its).json())[0]["opted_out"] == ["campaign"]
    with database.tx() as session:
        contact = contacts.ensure(session, "organization", str(ORGANIZATION), "")
        best = contacts.next_address(session, contact.id, set(), set(settings().channels))
        assert best is not None
        assert best.value == ANA
        assert contacts.next_address(session, contact.id, {"email"}, set(settings().channels)) is None

    other = issuer.headers("representante:0192f0c1-0000-7000-8000-00000000ffff", sub="eve")
    for answer in (
        client.get(ITS, headers=other),
        client.put(where, json={"value": BEA}, headers=other),
        client.delete(where, headers=other),
        client.post(f"{where}/confirmation", json={"value": ANA, "evidence": "Acta 1"}, headers=its),
        client.get(ITS, headers=issuer.headers("ciudadania")),
    ):
        assert answer.status_code == 403
    assert client.get(ITS).status_code == 401


def registered(database: Database) -> None:
    with database.tx() as session:
        session.add(
            KnownOrganization(
                id=ORGANIZATION,
                version=1,
                number="R-1",
                name="JAC La Paz",
                organization_type="jac",
                status="registered",
            )
        )


def test_officials_act_on_behalf_with_evidence(client: TestClient, database: Database, issuer: Issuer) -> None:
    registrar = issuer.headers("registro", sub="registrar-1")
    where = f"{ITS}/addresses/email"
    assert client.put(where, json={"value": BEA}, headers=registrar).status_code == 404
    registered(database)
    unproved = client.put(where, json={"value": BEA}, headers=registrar)
    assert [(a["value"], a["verified_at"]) for a in by_channel(unproved.json())] == [("b…@c….example", None)]
    for bad in ({"value": BEA, "evidence": " "}, {"evidence": "Acta 12 de 2026, firmada"}):
        assert client.post(f"{where}/confirmation", json=bad, headers=registrar).status_code == 422
    keyed = {**registrar, "Idempotency-Key": "k"}
    said = {"value": f" {BEA.upper()}", "evidence": "Acta 12 de 2026, firmada"}
    proved = [client.post(f"{where}/confirmation", json=said, headers=keyed) for _ in range(2)]
    assert proved[0].json() == proved[1].json()
    assert by_channel(proved[0].json())[0]["verified_at"]
    with database.tx() as session:
        address = session.scalars(sa.select(Address)).one()
        assert (address.verified_by, address.evidence) == ("registrar-1", said["evidence"])
    shown = client.get(ITS, headers=issuer.headers("funcionario:oficina-juridica"))
    assert BEA not in shown.text
    assert BEA in client.get(ITS, headers=issuer.headers(f"representante:{ORGANIZATION}")).text


def test_who_vouches_names_the_address_that_waits(client: TestClient, database: Database, issuer: Issuer) -> None:
    registered(database)
    its, officer = issuer.headers(f"representante:{ORGANIZATION}"), issuer.headers("funcionario:oficina-juridica")
    where = f"{ITS}/addresses/email"
    shown = "junta@correo.example"  # by the document
    client.put(where, json={"value": shown}, headers=its)
    assert client.put(where, json={"value": "j@correo.example"}, headers=officer).status_code == 200
    said = {"value": shown, "evidence": "Acta 12 de 2026"}
    registrar = issuer.headers("registro", sub="registrar-1")
    for language, words in (("es", "No es la dirección que está por verificar."), ("en", "This is not the address")):
        refused = client.post(
            f"{where}/confirmation",
            json=said,
            headers=registrar | {"Accept-Language": language, "Idempotency-Key": "k"},
        )
        assert refused.status_code == 422
        [error] = refused.json()["errors"]
        assert (error["field"], error["code"]) == ("body.value", "address_not_waiting")
        assert error["reason"].startswith(words)
        assert "j@correo.example" not in refused.text
    assert [a["verified_at"] for a in by_channel(client.get(ITS, headers=its).json())] == [None]
    client.put(where, json={"value": shown}, headers=its)
    proved = client.post(f"{where}/confirmation", json=said, headers=registrar | {"Idempotency-Key": "k"})
    assert (proved.status_code, bool(by_channel(proved.json())[0]["verified_at"])) == (200, True)


def test_officials_undo_no_opt_out_and_leave_their_name(
    client: TestClient, database: Database, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    registered(database)
    its, officer = (
        issuer.headers(f"representante:{ORGANIZATION}"),
        issuer.headers("funcionario:oficina-juridica", sub="of-7"),
    )
    where = f"{ITS}/addresses/email"
    calls = f"{where}/opt-outs/campaign"
    with database.tx() as session:
        contact = contacts.ensure(session, "organization", str(ORGANIZATION), "")
        contacts.set_address(session, contact, "email", ANA, None, owner=True)
        contacts.accept(session, contact, contacts.of_channel(session, contact, "email")[0])
        url = contacts.unsubscribe_url(session, "email", ANA)
    client.post(url.partition("/notifications")[2], data={"List-Unsubscribe": "One-Click"})
    for language, title in (("es", "Solo quien recibe los mensajes"), ("en", "Only for who receives the messages")):
        refused = client.delete(calls, headers=officer | {"Accept-Language": language})
        assert (refused.status_code, refused.json()["title"]) == (403, title)
    assert queue(database, ANA, "notifications_call") is None
    assert client.delete(calls, headers=its).status_code == 200
    assert queue(database, ANA, "notifications_call") is not None
    client.put(where, json={"value": BEA}, headers=its)
    assert "contact_changed" not in caplog.text, "what it does itself is nobody else's to know"

    said = {"value": BEA, "evidence": "Acta 12 de 2026"}
    for answer in (
        client.put(ITS, json={}, headers=officer | {"If-Match": "*"}),
        client.put(calls, headers=officer),
        client.put(where, json={"value": BEA}, headers=officer),
        client.post(f"{where}/confirmation", json=said, headers=officer),
        client.delete(where, headers=officer),
    ):
        assert answer.status_code == 200, answer.text
    logged = [r.msg for r in caplog.records if isinstance(r.msg, dict) and r.msg["event"] == "contact_changed"]
    assert {(one["subject"], one["organization_id"]) for one in logged} == {("of-7", str(ORGANIZATION))}
    assert [(one["change"], one.get("channel"), one.get("category")) for one in logged] == [
        ("preferences", None, None),
        ("opt_out", "email", "campaign"),
        ("address_given", "email", None),
        ("address_vouched_for", "email", None),
        ("address_removed", "email", None),
    ]
    assert not {ANA, BEA} & {str(value) for one in logged for value in one.values()}


# One click


def test_one_click_and_no_call_comes_any_more(client: TestClient, database: Database) -> None:
    with database.tx() as session:
        urls = {contacts.unsubscribe_url(session, "email", one) for one in (ANA, ANA.upper())}
    [url] = urls
    assert url.startswith(f"{settings().common.public_url}/notifications/v1/unsubscribe/")
    assert contacts.unsubscribe_headers(url) == {
        "List-Unsubscribe": f"<{url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    path = url.partition("/notifications")[2]
    for language, said in (("es", "No quiero"), ("en", "I do not want")):
        page = client.get(path, headers={"Accept-Language": language})
        assert page.status_code == 200
        assert said.lower() in page.text.lower()
        assert f'<html lang="{language}">' in page.text
        assert ANA not in page.text
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    for body in ({}, {"List-Unsubscribe": "no"}):
        assert client.post(path, data=body).status_code == 422
    assert queue(database, ANA, "notifications_call") is not None, "scanners follow links"

    one_click = {"List-Unsubscribe": "One-Click"}
    for answer in (
        client.post(path, data=one_click),
        client.post(path, files={k: (None, v) for k, v in one_click.items()}),
    ):
        assert (answer.status_code, "<form" in answer.text) == (200, False)
    assert queue(database, ANA, "notifications_call") is None
    assert queue(database, ANA, "requests_reminder") is not None
    with database.tx() as session:
        assert [(one.category, one.how) for one in session.scalars(sa.select(OptOut))] == [("campaign", "one_click")]
    for unknown in ("x" * 32, "short", "a%00b" * 8):
        assert client.post(f"/v1/unsubscribe/{unknown}", data=one_click).status_code in (404, 422)


# Keys


def test_an_address_is_known_after_the_key_is_rotated(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def keys(*names: str) -> None:
        monkeypatch.setattr(personal, "data_keys", lambda: list(names))
        personal._keys.cache_clear()
        personal.hash_keys.cache_clear()

    old, new = (Fernet.generate_key().decode() for _ in range(2))
    try:
        keys(old)
        with database.tx() as session:
            contacts.complained(session, "email", ANA, "campaign")
        keys(new, old)
        assert queue(database, ANA, "notifications_call") is None
        reminder = queue(database, ANA, "requests_reminder")
        assert reminder is not None
        assert reminder.fingerprint is not None
        with database.tx() as session:
            contacts.bounced(session, reminder.fingerprint, "5.1.1", "email", ANA)
        assert queue(database, ANA, "requests_reminder") is None
        with database.tx() as session:
            contact = contacts.ensure(session, "organization", str(ORGANIZATION), "")
            contacts.set_address(session, contact, "email", ANA, None, owner=True)
            assert len(session.scalars(sa.select(Address)).all()) == 2
            assert len(session.scalars(sa.select(Address.fingerprint).distinct()).all()) == 1
        keys(new)  # what was encrypted with the old key cannot be read any more, and harms no message
        assert queue(database, BEA, "requests_answered") is not None
    finally:
        monkeypatch.undo()
        personal._keys.cache_clear()
        personal.hash_keys.cache_clear()
