"""Who calls and what they may do. A service is an OIDC resource server: it trusts tokens of one issuer, of whatever make."""

import hashlib
import re
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any
from uuid import UUID

import httpx2
import jwt
import structlog
from anyio.to_thread import run_sync
from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.security import HTTPBearer
from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from tejido_shared.jurisdiction import Role, RoleRule
from tejido_shared.problems import Problem
from tejido_shared.settings import CommonSettings

log = structlog.get_logger()
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


@dataclass(frozen=True)
class Principal:
    """A caller whose token was valid. `offices` and `organizations` say for which of them the roles hold."""

    subject: str
    roles: frozenset[Role] = frozenset()
    offices: frozenset[str] = frozenset()
    organizations: frozenset[UUID] = frozenset()
    machine: bool = False
    expires_at: float = field(default=0.0, compare=False)

    def has(self, *roles: Role) -> bool:
        """Whether the caller has one of these roles; an administrator has them all."""
        return bool(self.roles & {*roles, Role.ADMINISTRATOR})

    def of_office(self, office: str) -> bool:
        """Whether the caller works for this office, or sees every office (auditor, administrator)."""
        return office in self.offices or bool(self.roles & {Role.AUDITOR, Role.ADMINISTRATOR})

    def represents(self, organization: UUID) -> bool:
        return organization in self.organizations


def principal_from(claims: dict[str, Any], groups_claim: str, rules: Iterable[RoleRule]) -> Principal:
    """Maps a token's groups, or a machine's client id, to roles as the jurisdiction pack says."""
    groups: Any = claims
    for part in groups_claim.split("."):
        groups = groups.get(part, ()) if isinstance(groups, dict) else ()
    names = [str(g).removeprefix("/") for g in groups] if isinstance(groups, list | tuple) else []
    client = str(claims.get("client_id") or claims.get("azp") or "")
    machine = claims.get("sub") in (None, "", client)
    roles, offices, organizations = set(), set(), set()
    for rule in rules:
        if rule.client is not None:
            if machine and client == rule.client:
                roles.add(rule.role)
            continue
        for name in names:
            found = re.fullmatch(rule.group or "", name)
            if not found:
                continue
            scope = found.groupdict()
            try:
                organization = UUID(scope["organization"]) if scope.get("organization") else None
            except ValueError:
                continue
            roles.add(rule.role)
            if office := scope.get("office"):
                offices.add(office)
            if organization:
                organizations.add(organization)
    return Principal(
        subject=str(claims.get("sub") or client),
        roles=frozenset(roles),
        offices=frozenset(offices),
        organizations=frozenset(organizations),
        machine=machine,
        expires_at=float(claims["exp"]),
    )


class Verifier:
    """Checks tokens: a JWT by the issuer's keys, an opaque token by asking the issuer (RFC 7662).

    Keys are fetched when a token names one that is not known, at most every `COOLDOWN` seconds, and kept while the issuer is away.
    """

    COOLDOWN = 15.0
    INTROSPECTED = 60.0
    REMEMBERED = 10_000

    def __init__(self, settings: CommonSettings, rules: Iterable[RoleRule]) -> None:
        self._settings = settings
        self._rules = tuple(rules)
        self._keys: dict[str | None, Any] = {}
        self._fetched_at = -self.COOLDOWN
        self._lock = threading.Lock()
        self._known: dict[bytes, Principal] = {}

    def remembered(self, token: str) -> Principal | None:
        """The caller if this very token was verified before and has not expired."""
        known = self._known.get(hashlib.sha256(token.encode()).digest())
        return known if known is not None and known.expires_at > time.time() else None

    def verify(self, token: str) -> Principal:
        """The caller behind a token. May ask the issuer over the network. Raises `Problem`: 401, or 503 when the issuer cannot be asked."""
        claims = self._jwt_claims(token) if token.count(".") == 2 else self._introspected_claims(token)
        principal = principal_from(claims, self._settings.oidc_groups_claim, self._rules)
        if len(self._known) >= self.REMEMBERED:
            self._known.clear()
        self._known[hashlib.sha256(token.encode()).digest()] = principal
        return principal

    def _jwt_claims(self, token: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
            key = self._key(header.get("kid"))
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                audience=self._settings.oidc_audience,
                issuer=self._settings.oidc_issuer,
                options={"require": ["exp", "iss", "aud"]},
                leeway=5,
            )
        except jwt.PyJWTError as error:
            log.info("token_refused", error=type(error).__name__)
            raise _unauthenticated() from None
        return claims

    def _key(self, kid: str | None) -> Any:
        if kid not in self._keys:
            self._fetch_keys()
        try:
            return self._keys[kid]
        except KeyError:
            raise jwt.InvalidKeyError("unknown key") from None

    def _fetch_keys(self) -> None:
        with self._lock:
            if time.monotonic() - self._fetched_at < self.COOLDOWN:
                return
            settings = self._settings
            try:
                url = settings.oidc_jwks_url
                if not url:
                    discovery = f"{settings.oidc_issuer.rstrip('/')}/.well-known/openid-configuration"
                    url = httpx2.get(discovery, timeout=5).raise_for_status().json()["jwks_uri"]
                keys = jwt.PyJWKSet.from_dict(httpx2.get(url, timeout=5).raise_for_status().json()).keys
            except (httpx2.HTTPError, KeyError, ValueError, jwt.PyJWTError) as error:
                log.warning("issuer_keys_unavailable", error=type(error).__name__)
                if not self._keys:
                    raise Problem(503, "identity_unavailable", headers={"Retry-After": "5"}) from None
                return
            # The bare key, since an issuer need not publish `alg` and PyJWT would then take the weakest of the kind. A shared
            # secret (`oct`) among them must never verify a signature.
            self._keys = {key.key_id: key.key for key in keys if key.key_type != "oct"}
            self._fetched_at = time.monotonic()

    def _introspected_claims(self, token: str) -> dict[str, Any]:
        settings = self._settings
        if not settings.oidc_introspection_url:
            raise _unauthenticated()
        try:
            answer = httpx2.post(
                settings.oidc_introspection_url,
                data={"token": token},
                auth=(settings.oidc_client_id, settings.oidc_client_secret.get_secret_value()),
                timeout=5,
            )
            claims: dict[str, Any] = answer.raise_for_status().json()
        except (httpx2.HTTPError, ValueError) as error:
            log.warning("introspection_unavailable", error=type(error).__name__)
            raise Problem(503, "identity_unavailable", headers={"Retry-After": "5"}) from None
        audience = claims.get("aud") or []
        audiences = [audience] if isinstance(audience, str) else audience
        # RFC 7662 leaves `aud` and `iss` optional; what is there must be ours.
        if (
            not claims.get("active")
            or (audiences and settings.oidc_audience not in audiences)
            or claims.get("iss", settings.oidc_issuer) != settings.oidc_issuer
        ):
            raise _unauthenticated()
        soon = time.time() + self.INTROSPECTED
        claims["exp"] = min(float(claims.get("exp") or soon), soon)
        return claims


def _unauthenticated() -> Problem:
    return Problem(401, "unauthenticated", headers={"WWW-Authenticate": "Bearer"})


class RateLimit:
    """Lets an address call the public routes so often. Counted in memory, by each process its own, so that it needs no Redis."""

    def __init__(self, rate: str) -> None:
        self._rate = parse(rate)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def check(self, address: str) -> None:
        if not self._limiter.hit(self._rate, address):
            window = self._limiter.get_window_stats(self._rate, address)
            wait = max(1, int(window.reset_time - time.time()) + 1)
            raise Problem(429, "too_many", headers={"Retry-After": str(wait)}, seconds=wait)


class _Guard(HTTPBearer):
    """Finds out who calls. One dependency and not a chain of them, for every request pays for each."""

    def __init__(self, guard: object) -> None:
        super().__init__(
            scheme_name="accessToken",
            auto_error=False,
            description="Access token of the municipality's identity provider",
        )
        self.__tejido_guard__ = guard

    async def caller(self, request: Request) -> Principal | None:
        """The principal behind the request's token, none without one. Kept in `request.state.caller`."""
        credentials = await super().__call__(request)
        principal = None
        if credentials is not None:
            verifier: Verifier = request.app.state.verifier
            token = credentials.credentials
            principal = verifier.remembered(token) or await run_sync(verifier.verify, token)
        request.state.caller = principal
        return principal


class _Require(_Guard):
    async def __call__(self, request: Request) -> Principal:  # type: ignore[override]
        caller = await self.caller(request)
        if caller is None:
            raise _unauthenticated()
        roles: frozenset[Role] = self.__tejido_guard__  # type: ignore[assignment]
        if roles and not caller.has(*roles):
            raise Problem(403, "forbidden")
        return caller


class _Public(_Guard):
    async def __call__(self, request: Request) -> Principal | None:  # type: ignore[override]
        caller = await self.caller(request)
        if caller is None:
            limit: RateLimit = request.app.state.rate_limit
            limit.check(request.client.host if request.client else "")
        return caller


def require(*roles: Role) -> _Require:
    """A dependency that lets in whoever has one of `roles` (an administrator always), and anybody with a valid token if none is named."""
    return _Require(frozenset(roles))


Anybody = Annotated[Principal | None, Depends(_Public("public"))]
"""Marks a route as public. Anonymous callers are rate-limited; the principal is there when the caller has a token."""


def guards_of(dependant: Dependant) -> list[object]:
    """What guards a route: the roles that are let in, or "public"; nothing if somebody forgot."""
    own = getattr(dependant.call, "__tejido_guard__", None)
    found = [] if own is None else [own]
    return found + [guard for dependency in dependant.dependencies for guard in guards_of(dependency)]
