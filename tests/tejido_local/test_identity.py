"""The identity provider as a process: what services and people get of it."""

import base64
import hashlib
import os
import re
import secrets
import shutil
import sqlite3
import stat
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2 as httpx
import jwt
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Mailbox

from tejido_local.identity import SAMPLE_ORGANIZATION, Identity, new_secrets
from tejido_local.postgres import Postgres
from tejido_local.processes import free_port, wait_until
from tejido_shared.auth import Verifier
from tejido_shared.jurisdiction import Role, load
from tejido_shared.settings import CommonSettings

HOST = "127.0.0.1"
PACK = Path(__file__).parents[2] / "jurisdictions" / "co-bogota"
OFFICES = tuple(office.code for office in load(PACK).offices)
CALLBACK = "http://127.0.0.1:8100/auth/callback"


@contextmanager
def serving(identity: Identity) -> Iterator[str]:
    """The provider's own address, once it answers there."""
    address = f"http://{HOST}:{identity.port}"

    def answers() -> bool:
        try:
            return httpx.get(f"{address}/oauth/jwks.json").status_code == 200
        except httpx.TransportError:
            return False

    process = subprocess.Popen(identity.command(), env=os.environ | identity.environment())
    try:
        assert wait_until(answers, 30)
        yield address
    finally:
        process.terminate()
        assert process.wait(10) == 0


@pytest.fixture(scope="module")
def mail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    directory = tmp_path_factory.mktemp("mail") / "box"
    controller = Controller(Mailbox(directory), hostname=HOST, port=free_port())
    controller.start()
    yield f"{HOST}:{controller.port}", directory / "new"
    controller.stop()


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory, mail: tuple[str, Path]) -> Iterator[Identity]:
    port = free_port()
    directory = tmp_path_factory.mktemp("identity") / "data"
    made = Identity(directory, port, f"http://{HOST}:{port}", new_secrets(), OFFICES, smtp=mail[0])
    made.prepare()
    with serving(made):
        yield made


def password_grant(identity: Identity, user: str, password: str) -> httpx.Response:
    form = {"grant_type": "password", "client_id": "tejido-terminal", "username": user, "password": password}
    return httpx.post(f"{identity.issuer}oauth/token", data=form, timeout=30)


def claims(identity: Identity, token: str) -> dict[str, Any]:
    """What a service accepts."""
    expected = identity.service_environment()
    key = jwt.PyJWKClient(expected["TEJIDO_OIDC_JWKS_URL"]).get_signing_key_from_jwt(token)
    return jwt.decode(
        token,
        key,
        algorithms=["RS256"],
        audience=expected["TEJIDO_OIDC_AUDIENCE"],
        issuer=expected["TEJIDO_OIDC_ISSUER"],
        options={"require": ["exp", "sub"]},
    )


def sign_in(browser: httpx.Client, start: str, user: str, password: str) -> str:
    """Fills in the forms that follow the address `start`; returns where they lead in the end."""
    answer = browser.get(start)
    while True:
        while answer.is_redirect:
            target = urljoin(str(answer.url), answer.headers["location"])
            if target.startswith(CALLBACK):
                return target
            answer = browser.get(target)
        assert answer.status_code == 200
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', answer.text)
        if 'id="loginform"' in answer.text:
            form = {"login": user}
        elif 'id="passwordform"' in answer.text:
            form = {"password": password}
        else:
            return str(answer.url)
        assert token
        here = str(answer.url)
        answer = browser.post(here, data=form | {"csrf_token": token[1]}, headers={"Referer": here})


def test_every_sample_user_gets_a_token_with_the_group_that_is_announced(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    callers = []
    for name, value in {"BROKER_URL": "redis://", "DATA_KEY": "-", "JURISDICTION": str(PACK)}.items():
        monkeypatch.setenv(f"TEJIDO_{name}", value)
    for name, value in identity.service_environment().items():
        monkeypatch.setenv(name, value)
    verifier = Verifier(CommonSettings(), load(PACK).roles)
    for user, password, group in identity.sample_users():
        answer = password_grant(identity, user, password).json()
        assert answer["expires_in"] == 900
        found = claims(identity, answer["access_token"])
        assert (found["preferred_username"], found["groups"]) == (user, [group])
        callers.append(verifier.verify(answer["access_token"]))
    assert len(callers) == 13
    assert {role for caller in callers for role in caller.roles} == set(Role)
    assert {office for caller in callers for office in caller.offices} == set(OFFICES[:2])
    assert {organization for caller in callers for organization in caller.organizations} == {SAMPLE_ORGANIZATION}
    # After a wrong password the right one is refused too, for two seconds and longer each time.
    assert password_grant(identity, "registro", "otra").status_code == 400


def test_tokens_of_one_person_in_one_second_are_different(identity: Identity) -> None:
    user, password, _ = identity.sample_users()[0]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: password_grant(identity, user, password), range(8)))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert len({answer.json()["access_token"] for answer in answers}) == 8


def test_the_portal_signs_a_person_in_with_a_code(identity: Identity) -> None:
    user, password, group = identity.sample_users()[0]
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    start = httpx.URL(
        f"{identity.issuer}oauth/authorize",
        params={
            "response_type": "code",
            "client_id": "tejido-portal",
            "redirect_uri": CALLBACK,
            "scope": "openid groups",
            "state": "s",
            "nonce": "n",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        },
    )
    with httpx.Client() as browser:
        assert '<html lang="es"' in browser.get(f"{identity.issuer}login").text
        landed = sign_in(browser, str(start), user, password)
    form = {
        "grant_type": "authorization_code",
        "code": parse_qs(urlsplit(landed).query)["code"][0],
        "redirect_uri": CALLBACK,
        "code_verifier": verifier,
    }
    portal = ("tejido-portal", identity.secrets["IDENTITY_PORTAL_SECRET"])
    tokens = httpx.post(f"{identity.issuer}oauth/token", data=form, auth=portal).json()
    found = claims(identity, tokens["access_token"])
    assert (found["groups"], found["client_id"]) == ([group], "tejido-portal")
    with pytest.raises(jwt.InvalidAudienceError):  # it names a person to the portal and opens nothing
        claims(identity, tokens["id_token"])
    again = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    renewed = httpx.post(f"{identity.issuer}oauth/token", data=again, auth=portal).json()
    assert claims(identity, renewed["access_token"])["sub"] == found["sub"]


def test_a_machine_has_an_opaque_token_that_services_introspect(identity: Identity) -> None:
    machine = ("tejido-machine", identity.secrets["IDENTITY_MACHINE_SECRET"])
    form = {"grant_type": "client_credentials"}
    token = httpx.post(f"{identity.issuer}oauth/token", data=form, auth=machine).json()["access_token"]
    expected = identity.service_environment()
    url = expected["TEJIDO_OIDC_INTROSPECTION_URL"]
    service = (expected["TEJIDO_OIDC_CLIENT_ID"], expected["TEJIDO_OIDC_CLIENT_SECRET"])

    found = httpx.post(url, data={"token": token}, auth=service).json()
    assert (found["active"], found["client_id"], found["aud"]) == (True, "tejido-machine", ["tejido"])
    assert found["iss"] == identity.issuer
    assert httpx.post(url, data={"token": "unknown"}, auth=service).json() == {"active": False}
    assert httpx.post(url, data={"token": token}, auth=(service[0], "wrong")).status_code == 401
    assert httpx.post(f"{identity.issuer}oauth/revoke", data={"token": token}, auth=machine).status_code == 200
    assert httpx.post(url, data={"token": token}, auth=service).json() == {"active": False}


def test_nobody_gives_themselves_a_role(identity: Identity) -> None:
    pages: tuple[str, ...] = ("groups/add", "groups/administracion", "users", "admin/client")
    user, password, _ = identity.sample_users()[0]
    with httpx.Client() as browser:
        sign_in(browser, f"{identity.issuer}login", user, password)
        profile = browser.get(f"{identity.issuer}profile/{user}")
        assert profile.status_code == 200
        assert [browser.get(identity.issuer + page, follow_redirects=True).status_code for page in pages] == [403] * 4
    user, password, _ = identity.sample_users()[-1]
    with httpx.Client() as browser:
        sign_in(browser, f"{identity.issuer}login", user, password)
        pages += (f"groups/funcionario:{OFFICES[1]}", "profile/ciudadana/settings")
        assert [browser.get(identity.issuer + page, follow_redirects=True).status_code for page in pages] == [200] * 6


def test_a_forgotten_password_is_mended_by_mail(identity: Identity, mail: tuple[str, Path]) -> None:
    with httpx.Client(headers={"Host": "elsewhere.example"}) as browser:  # the link does not follow the Host header
        page = browser.get(f"{identity.issuer}reset")
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.text)
        assert token
        browser.post(f"{identity.issuer}reset", data={"login": "auditoria", "csrf_token": token[1]})
    [message] = [path.read_text() for path in mail[1].iterdir()]
    assert "auditoria@tejido.example" in message
    assert "contrase" in message
    assert f"{identity.issuer}reset/auditoria/" in message.replace("=\n", "")


def test_preparing_again_changes_nothing_that_was_there(identity: Identity) -> None:
    configuration = identity.directory / "canaille.toml"
    assert stat.S_IMODE(configuration.stat().st_mode) == 0o600
    assert stat.S_IMODE(identity.directory.stat().st_mode) == 0o700

    def content() -> list[Any]:
        tables = ("user", "client", "group", "membership_association_table", "client_audience_association_table")
        with sqlite3.connect(identity.directory / "identity.sqlite") as database:
            rows = [database.execute(f'SELECT count(*) FROM "{table}"').fetchone() for table in tables]
            passwords = database.execute('SELECT user_name, password FROM "user" ORDER BY 1').fetchall()
        return [rows, passwords, configuration.read_text()]

    before, written = content(), configuration.stat().st_mtime_ns
    identity.prepare()
    assert configuration.stat().st_mtime_ns == written  # nothing was to do
    (identity.directory / "prepared").unlink()
    identity.prepare()
    assert configuration.stat().st_mtime_ns > written
    assert content() == before


def test_without_samples_only_the_administrator_is_left(identity: Identity, tmp_path: Path) -> None:
    shutil.copytree(identity.directory, tmp_path / "copy")
    replace(identity, directory=tmp_path / "copy", sample=False).prepare()
    with sqlite3.connect(tmp_path / "copy" / "identity.sqlite") as database:
        assert database.execute('SELECT user_name FROM "user"').fetchall() == [("administracion",)]
        clients = {row[0] for row in database.execute("SELECT client_id FROM client")}
    assert clients == {"tejido", "tejido-portal", "tejido-machine"}


def test_a_reason_is_given_when_it_cannot_be_prepared(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    broken = Identity(tmp_path / "file" / "data", free_port(), "http://x.example", new_secrets())
    with pytest.raises(RuntimeError, match="Not a directory"):
        broken.prepare()


def test_it_serves_from_postgresql_under_a_path_of_the_gateway(tmp_path: Path) -> None:
    with Postgres(tmp_path / "postgres", free_port(), "secret", fast=True) as postgres:
        postgres.create_databases({"identity": "p@ss:word"})
        url = postgres.url("identity", "identity", "p@ss:word", driver="postgresql+psycopg")
        public = "https://municipio.example/identidad"
        identity = Identity(tmp_path / "data", free_port(), public, new_secrets(), OFFICES, url, sample=False)
        environment = identity.environment() | {"IDENTITY_OFFICES": "", "TEJIDO_JURISDICTION": str(PACK)}
        assert Identity.from_environment(environment) == identity
        identity.prepare()
        identity.prepare()
        with serving(identity) as address:
            for path in ("", "/identidad"):  # services ask inside; a gateway may leave its path in place
                found = httpx.get(f"{address}{path}/.well-known/openid-configuration").json()
                assert found["issuer"] == identity.issuer == f"{public}/"
                assert found["token_endpoint"] == f"{public}/oauth/token"
            machine = ("tejido-machine", identity.secrets["IDENTITY_MACHINE_SECRET"])
            form = {"grant_type": "client_credentials"}
            token = httpx.post(f"{address}/oauth/token", data=form, auth=machine).json()["access_token"]
            service = ("tejido", identity.secrets["IDENTITY_SERVICES_SECRET"])
            answer = httpx.post(f"{address}/oauth/introspect", data={"token": token}, auth=service)
            assert answer.json()["active"] is True
            with httpx.Client() as browser:
                page = browser.get(f"{address}/identidad/login")
                assert 'href="/identidad/static/' in page.text
                cookie = page.headers["set-cookie"]
            assert "Secure" in cookie
            assert "Path=/identidad" in cookie
