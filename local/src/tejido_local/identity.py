"""The identity provider that runs by default: Canaille, an OpenID Connect provider with a Spanish interface.

Any other provider serves as well: services only know an issuer, its keys and a groups claim. `./tejido up` and the
Compose deployment run this same module, configured by `Identity.environment`: `python -m tejido_local.identity prepare`
(migrates, makes keys, groups and clients; may be repeated), then `serve`. Only those two processes import Canaille.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import secrets
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

AUDIENCE = "tejido"  # also the client of the services: Canaille lets a client introspect what is addressed to it
PORTAL = "tejido-portal"
MACHINE = "tejido-machine"
TERMINAL = "tejido-terminal"  # password grant for curl; only beside the sample users
SECRETS = (
    "IDENTITY_SECRET_KEY",  # signs sessions
    "IDENTITY_ADMIN_PASSWORD",
    "IDENTITY_SERVICES_SECRET",  # of the client AUDIENCE
    "IDENTITY_PORTAL_SECRET",
    "IDENTITY_MACHINE_SECRET",
)
TOKEN_SECONDS = 900
SCOPES = ["openid", "profile", "email", "groups"]
SAMPLE_ORGANIZATION = uuid5(NAMESPACE_URL, "https://tejido.example/sample/organization/1")
SAMPLE_PASSWORD = "tejido-de-muestra"
ADMINISTRATOR = "administracion"


def new_secrets() -> dict[str, str]:
    """Fresh random values for SECRETS."""
    return {name: secrets.token_urlsafe(32) for name in SECRETS}


@dataclass(frozen=True)
class Identity:
    """One identity provider: where it lives, how it is reached and what it holds.

    `directory` holds canaille.toml (mode 600: keys and secrets) and, without `database_url`, the SQLite database.
    `public_url` is what people and tokens see, with a path when a gateway serves it under one (https://x.example/id).
    `secrets` has the names of SECRETS. `offices` are codes of the jurisdiction's offices, each of which gets two groups.
    Mail about passwords goes through `smtp` (host:port; without it there is none), secured by `smtp_security`: none,
    starttls or tls. `sample` adds the users of `sample_users` and the client TERMINAL; without it they are removed.
    """

    directory: Path
    port: int
    public_url: str
    secrets: Mapping[str, str] = field(repr=False)
    offices: tuple[str, ...] = ()
    database_url: str | None = field(default=None, repr=False)
    sample: bool = True
    host: str = "127.0.0.1"
    name: str = "Tejido"
    time_zone: str = "America/Bogota"
    portal_url: str = "http://127.0.0.1:8100"
    smtp: str = ""
    smtp_security: str = "none"
    smtp_username: str = ""
    smtp_password: str = field(default="", repr=False)
    smtp_sender: str = "identidad@tejido.example"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Identity:
        """Reads what `environment` writes. Without IDENTITY_OFFICES the offices are those of the pack TEJIDO_JURISDICTION.

        Raises KeyError naming the variable that is missing, JurisdictionError when the pack is broken.
        """
        offices = tuple((environment.get("IDENTITY_OFFICES") or "").replace(",", " ").split())
        if not offices and environment.get("TEJIDO_JURISDICTION"):
            from tejido_shared.jurisdiction import load

            offices = tuple(office.code for office in load(environment["TEJIDO_JURISDICTION"]).offices)
        optional = {name: environment.get(f"IDENTITY_{name.upper()}") for name in _OPTIONAL}
        return cls(
            directory=Path(environment["IDENTITY_DIRECTORY"]).absolute(),
            port=int(environment.get("IDENTITY_PORT") or 8180),
            public_url=environment["IDENTITY_PUBLIC_URL"].rstrip("/"),
            secrets={name: environment[name] for name in SECRETS},
            offices=offices,
            sample=environment.get("IDENTITY_SAMPLE") == "1",
            # Compose passes unset variables as empty ones.
            **{name: value for name, value in optional.items() if value},
        )

    def environment(self) -> dict[str, str]:
        """The variables with which `command` and `prepare` run."""
        return {
            "IDENTITY_DIRECTORY": str(self.directory.absolute()),
            "IDENTITY_PORT": str(self.port),
            "IDENTITY_PUBLIC_URL": self.public_url.rstrip("/"),
            "IDENTITY_OFFICES": ",".join(self.offices),
            "IDENTITY_SAMPLE": "1" if self.sample else "0",
            **{name: self.secrets[name] for name in SECRETS},
            **{f"IDENTITY_{name.upper()}": getattr(self, name) or "" for name in _OPTIONAL},
        }

    def command(self) -> list[str]:
        """The serving process: one, without children; stops in order on SIGTERM."""
        return [sys.executable, "-m", "tejido_local.identity", "serve"]

    @property
    def issuer(self) -> str:
        """`iss` of the tokens. Canaille makes it of the address, always with a slash at the end."""
        return self.public_url.rstrip("/") + "/"

    def service_environment(self) -> dict[str, str]:
        """What the services need to accept this provider's tokens."""
        return {
            "TEJIDO_OIDC_ISSUER": self.issuer,
            "TEJIDO_OIDC_JWKS_URL": f"{self.issuer}oauth/jwks.json",
            "TEJIDO_OIDC_AUDIENCE": AUDIENCE,
            "TEJIDO_OIDC_INTROSPECTION_URL": f"{self.issuer}oauth/introspect",
            "TEJIDO_OIDC_CLIENT_ID": AUDIENCE,
            "TEJIDO_OIDC_CLIENT_SECRET": self.secrets["IDENTITY_SERVICES_SECRET"],
        }

    def sample_users(self) -> list[tuple[str, str, str]]:
        """(user name, password, group) of those who can sign in when nobody has changed anything."""
        people = [(person.user_name, SAMPLE_PASSWORD, person.group) for person in _sample_people(self.offices)]
        administrator = (ADMINISTRATOR, self.secrets["IDENTITY_ADMIN_PASSWORD"], "administracion")
        return [*(people if self.sample else []), administrator]

    def prepare(self) -> None:
        """Makes everything ready to serve; does nothing when it already is. Raises RuntimeError with the reason."""
        stamp = self.directory / "prepared"
        described = json.dumps(self.environment(), sort_keys=True) + Path(__file__).read_text("utf-8")
        wanted = hashlib.sha256(described.encode()).hexdigest()
        if stamp.exists() and stamp.read_text("ascii") == wanted and self._has_clients():
            return
        command = [sys.executable, "-m", "tejido_local.identity", "prepare"]
        done = subprocess.run(command, env=os.environ | self.environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"identity provider: {done.stderr[-2000:]}")
        stamp.write_text(wanted, "ascii")

    def _has_clients(self) -> bool:
        """Whether the database is the one that was prepared: it may have been dropped since."""
        query = f"SELECT 1 FROM client WHERE client_id = '{AUDIENCE}'"
        try:
            if self.database_url:
                import psycopg

                url = self.database_url.replace("postgresql+psycopg:", "postgresql:")
                with psycopg.connect(url, connect_timeout=5) as connection:
                    return connection.execute(query).fetchone() is not None
            with sqlite3.connect(f"file:{self.directory / 'identity.sqlite'}?mode=ro", uri=True) as database:
                return database.execute(query).fetchone() is not None
        except Exception:  # noqa: BLE001  # whatever is wrong, preparing anew either mends it or says it clearly
            return False


# Fields that are one optional variable each, IDENTITY_ and their name.
_OPTIONAL = (
    "database_url",
    "host",
    "name",
    "time_zone",
    "portal_url",
    "smtp",
    "smtp_security",
    "smtp_username",
    "smtp_password",
    "smtp_sender",
)


@dataclass(frozen=True)
class _Person:
    user_name: str
    given_name: str
    family_name: str
    group: str

    @property
    def id(self) -> str:
        """Fixed, so that sample data can belong to a sample user: it is the `sub` of the tokens."""
        return str(uuid5(NAMESPACE_URL, f"https://tejido.example/sample/user/{self.user_name}"))


def _sample_people(offices: tuple[str, ...]) -> list[_Person]:
    """One person for each role; a second registrar, for who entered an organization may not register it; and a second officer in
    another office, who must not see what the first one sees."""
    people = [
        _Person("ciudadana", "Ana Lucía", "Peña Rojas", "ciudadania"),
        _Person("ciudadano", "Óscar Iván", "Núñez Salazar", "ciudadania"),
        _Person("representante", "Jorge Elías", "Medina Vega", f"representante:{SAMPLE_ORGANIZATION}"),
        _Person("registro", "Marta Inés", "Ruiz Acosta", "registro"),
        _Person("registro2", "Hernán Darío", "Quiroga Paz", "registro"),
        _Person("autoridad", "Beatriz Elena", "Salinas Mora", "autoridad-registro"),
        _Person("evaluacion", "Andrés Felipe", "Castro Luna", "evaluacion"),
        _Person("supervision", "Carmen Rosa", "Vargas Díaz", "supervision"),
        _Person("auditoria", "Raúl Ernesto", "Gómez Soria", "auditoria"),
    ]
    if offices:
        people += [
            _Person("funcionaria", "Luz Marina", "Herrera Paz", f"funcionario:{offices[0]}"),
            _Person("jefatura", "Gloria Esther", "Molina Ávila", f"jefatura:{offices[0]}"),
        ]
    if len(offices) > 1:
        people.append(_Person("funcionario", "Pedro Nolasco", "Ibáñez Toro", f"funcionario:{offices[1]}"))
    return people


def _groups(identity: Identity) -> list[str]:
    plain = ["ciudadania", "registro", "autoridad-registro", "evaluacion", "supervision", "auditoria", "administracion"]
    of_offices = [f"{kind}:{office}" for office in identity.offices for kind in ("funcionario", "jefatura")]
    return [*plain, *of_offices, *([f"representante:{SAMPLE_ORGANIZATION}"] if identity.sample else [])]


def _write_configuration(identity: Identity) -> Path:
    """Writes canaille.toml, keeping the signing keys it already has, and returns its path.

    To change the signing key, move it from ACTIVE_JWKS to INACTIVE_JWKS, prepare and restart: its tokens stay valid.
    """
    import tomlkit
    from joserfc.jwk import RSAKey
    from sqlalchemy.engine import make_url

    path = identity.directory / "canaille.toml"
    keys = tomllib.loads(path.read_text("utf-8"))["CANAILLE_OIDC"] if path.exists() else {}
    public = urlsplit(identity.public_url)
    database = make_url(identity.database_url or f"sqlite:///{identity.directory / 'identity.sqlite'}")
    if database.drivername.startswith("postgresql"):
        # Canaille binds UTC instants without their offset, so the session has to be in UTC.
        database = database.set(drivername="postgresql+psycopg").update_query_dict({"options": "-c timezone=UTC"})
    # Self-made groups would be self-made roles: nobody gets manage_own_groups, which Canaille gives to all. Nor does
    # its own administrator filter stay: it matches every user whose name contains "admin".
    core: dict[str, Any] = {
        "NAME": identity.name,
        "DATABASE": "sql",
        "LOGO": "",
        "LANGUAGE": "es",
        "TIMEZONE": identity.time_zone,
        "FORCE_HTTPS": public.scheme == "https",
        "ENABLE_REGISTRATION": False,
        "ENABLE_INTRUDER_LOCKOUT": True,
        "MIN_PASSWORD_LENGTH": 12,
        "ACL": {
            "DEFAULT": {
                "PERMISSIONS": ["edit_self", "use_oidc"],
                "READ": ["user_name", "groups"],
                "WRITE": ["given_name", "family_name", "display_name", "emails", "phone_numbers", "password"],
            },
            "ADMINISTRATION": {
                "FILTER": {"groups": "administracion"},
                "PERMISSIONS": ["manage_users", "manage_all_groups", "manage_oidc", "delete_account"],
                "READ": ["user_name"],
                "WRITE": ["groups", "lock_date", "title", "department", "organization"],
            },
        },
    }
    if identity.smtp:
        host, _, port = identity.smtp.partition(":")
        core["SMTP"] = {
            "HOST": host,
            "PORT": int(port or 25),
            "TLS": identity.smtp_security == "starttls",
            "SSL": identity.smtp_security == "tls",
            "LOGIN": identity.smtp_username,
            "PASSWORD": identity.smtp_password,
            "FROM_ADDR": identity.smtp_sender,
        }
    configuration = {
        "SECRET_KEY": identity.secrets["IDENTITY_SECRET_KEY"],
        "DEBUG": False,
        "PREFERRED_URL_SCHEME": public.scheme,
        "TRUSTED_HOSTS": [public.hostname],
        "SESSION_COOKIE_PATH": public.path or "/",
        "OAUTH2_TOKEN_EXPIRES_IN": dict.fromkeys(
            ("authorization_code", "password", "client_credentials", "refresh_token"), TOKEN_SECONDS
        ),
        "CANAILLE": core,
        "CANAILLE_SQL": {
            "DATABASE_URI": database.render_as_string(hide_password=False),
            "AUTO_MIGRATE": False,
            "POOL_PRE_PING": True,
            "PASSWORD_HASH_PARAMS": {"pbkdf2_sha512__rounds": 210_000},
        },
        "CANAILLE_OIDC": {
            "ACTIVE_JWKS": keys.get("ACTIVE_JWKS")
            or [RSAKey.generate_key(2048, {"alg": "RS256", "use": "sig"}, auto_kid=True).as_dict(private=True)],
            "INACTIVE_JWKS": keys.get("INACTIVE_JWKS", []),
            "TRUSTED_DOMAINS": [urlsplit(identity.portal_url).hostname],  # the portal need not ask for consent
            "USERINFO_MAPPING": {"SUB": "{{ user.id }}", "PREFERRED_USERNAME": "{{ user.user_name }}"},
        },
    }
    identity.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600, exist_ok=False)
    new.write_text(tomlkit.dumps(configuration), "utf-8")
    return new.replace(path)


def _access_token(client: Any, grant_type: str, user: Any, scope: str) -> str:
    """An RFC 9068 access token; an opaque one, to be introspected, for a machine.

    Canaille's own has no `jti`, so two tokens of one person in one second are equal and the second answers 500. It also
    bears the audience of the identity token, which a service could then take for an access token.
    """
    from canaille.oidc import provider, userinfo
    from joserfc import jwt

    if grant_type == "client_credentials":
        return secrets.token_urlsafe(32)
    key = provider.server_jwks(include_inactive=False).keys[0]
    person = userinfo.generate_user_claims(user)
    now = int(datetime.now(UTC).timestamp())
    claims = {
        **userinfo.UserInfo(person).filter(scope),
        "iss": provider.get_issuer(),
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + TOKEN_SECONDS,
        "jti": secrets.token_urlsafe(16),
        "client_id": client.client_id,
        "scope": scope,
        "groups": person.get("groups", []),
    }
    return jwt.encode({"alg": "RS256", "typ": "at+jwt", "kid": key.kid}, claims, key)


def _application(identity: Identity) -> Any:
    from canaille import create_app
    from canaille.oidc import provider

    os.environ["CANAILLE_CONFIG"] = str(identity.directory / "canaille.toml")
    provider.generate_access_token = _access_token
    app = create_app(init_backend=False)
    # SERVER_NAME stays unset, for it makes an issuer without the path. But then Canaille leaves this method out, and
    # answers 500 to every client that it cannot authenticate otherwise.
    provider.authorization.register_client_auth_method(
        provider.JWTClientAuth.CLIENT_AUTH_METHOD, provider.JWTClientAuth()
    )
    return app


def prepare(identity: Identity) -> None:
    """Writes the configuration, migrates the database and makes what is missing; passwords that exist are kept."""
    _write_configuration(identity)
    from canaille.app import models

    app = _application(identity)
    with app.app_context():
        app.backend.install(app)
        groups = {name: _saved(app, models.Group, display_name=name) for name in _groups(identity)}
        people = _sample_people(identity.offices)
        for person in people:
            user = app.backend.get(models.User, user_name=person.user_name)
            if user and user.id == person.id and not identity.sample:
                app.backend.delete(user)
            elif identity.sample and not user:
                _new_user(app, person, SAMPLE_PASSWORD, groups[person.group], id=person.id)
        if not app.backend.get(models.User, user_name=ADMINISTRATOR):
            person = _Person(ADMINISTRATOR, "Administración", identity.name, "administracion")
            _new_user(app, person, identity.secrets["IDENTITY_ADMIN_PASSWORD"], groups["administracion"])
        _make_clients(app, identity)


def _saved(app: Any, model: Any, **attributes: Any) -> Any:
    """The object that has the first of the attributes, with all of them set."""
    identifier = dict([next(iter(attributes.items()))])
    found = app.backend.get(model, **identifier) or model(**identifier)
    app.backend.update(found, **attributes)
    app.backend.save(found)
    return found


def _new_user(app: Any, person: _Person, password: str, group: Any, **more: Any) -> None:
    from canaille.app import models

    full_name = f"{person.given_name} {person.family_name}"
    user = models.User(
        user_name=person.user_name,
        given_name=person.given_name,
        family_name=person.family_name,
        formatted_name=full_name,
        display_name=full_name,
        emails=[f"{person.user_name}@tejido.example"],
        groups=[group],
        **more,
    )
    app.backend.set_user_password(user, password)


def _make_clients(app: Any, identity: Identity) -> None:
    from canaille.app import models

    now = datetime.now(UTC).replace(microsecond=0)

    def client(client_id: str, secret: str | None, grants: list[str], audience: Any = None, **more: Any) -> Any:
        made = _saved(
            app,
            models.Client,
            client_id=client_id,
            client_name=client_id,
            client_secret=secret,
            client_id_issued_at=now,
            client_uri=identity.portal_url,
            grant_types=grants,
            token_endpoint_auth_method="client_secret_basic" if secret else "none",
            **{"scope": SCOPES, "response_types": [], "redirect_uris": [], **more},
        )
        # Given at creation, an audience of oneself is stored as null and every token request fails.
        if list(made.audience) != [audience or made]:
            made.audience = [audience or made]
            app.backend.save(made)
        return made

    services = client(AUDIENCE, identity.secrets["IDENTITY_SERVICES_SECRET"], [])
    client(MACHINE, identity.secrets["IDENTITY_MACHINE_SECRET"], ["client_credentials"], services, scope=[])
    client(
        PORTAL,
        identity.secrets["IDENTITY_PORTAL_SECRET"],
        ["authorization_code", "refresh_token"],
        response_types=["code"],
        redirect_uris=[f"{identity.portal_url}/auth/callback"],
        post_logout_redirect_uris=[f"{identity.portal_url}/"],
    )
    if identity.sample:
        client(TERMINAL, None, ["password"])
    elif terminal := app.backend.get(models.Client, client_id=TERMINAL):
        app.backend.delete(terminal)


Environ = dict[str, Any]


def _at_public_address(
    app: Callable[[Environ, Any], Iterable[bytes]], public_url: str
) -> Callable[..., Iterable[bytes]]:
    """Makes the application see every request as sent to the public address, whatever host and path it came with.

    So services may ask at an internal address, a gateway may strip its path or not, and no header forges an issuer or a
    link.
    """
    public = urlsplit(public_url)

    def at_public_address(environ: Environ, start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if public.path and (path == public.path or path.startswith(public.path + "/")):
            path = path[len(public.path) :]
        environ |= {"HTTP_HOST": public.netloc, "wsgi.url_scheme": public.scheme, "SCRIPT_NAME": public.path}
        environ["PATH_INFO"] = path or "/"
        return app(environ, start_response)

    return at_public_address


def _remove_expired(app: Any) -> None:
    """Deletes yesterday's tokens and codes, which Canaille keeps for ever."""
    from canaille.app import models
    from canaille.backends.sql.models.oidc import TokenAudience
    from sqlalchemy import delete, select

    yesterday = datetime.now(UTC) - timedelta(days=1)
    old = select(models.Token.id).where(models.Token.issue_date < yesterday)
    with app.app_context(), app.backend.engine.begin() as connection:
        connection.execute(delete(TokenAudience).where(TokenAudience.token_id.in_(old)))
        connection.execute(delete(models.Token).where(models.Token.issue_date < yesterday))
        connection.execute(delete(models.AuthorizationCode).where(models.AuthorizationCode.issue_date < yesterday))


async def _serve(identity: Identity) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    app = _application(identity)

    async def clean() -> None:
        while True:
            await asyncio.to_thread(_remove_expired, app)
            await asyncio.sleep(3600)

    config = Config()
    config.bind = [f"{identity.host}:{identity.port}"]
    config.include_server_header = False
    cleaning = asyncio.create_task(clean())
    await serve(_at_public_address(app, identity.public_url), config, mode="wsgi")
    cleaning.cancel()


def main() -> None:
    """Command line: `prepare` or `serve`."""
    parser = argparse.ArgumentParser(prog="python -m tejido_local.identity", description=__doc__)
    parser.add_argument("command", choices=["prepare", "serve"])
    command = parser.parse_args().command
    os.umask(0o077)
    try:
        identity = Identity.from_environment()
    except KeyError as missing:
        parser.error(f"environment variable {missing} is missing")
    if command == "prepare":
        prepare(identity)
    else:
        asyncio.run(_serve(identity))


if __name__ == "__main__":
    main()
