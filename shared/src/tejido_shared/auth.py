"""Who calls and what they may do. A service is an OIDC resource server: it trusts tokens of one issuer, of whatever make."""

import hashlib
import re
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address, ip_network
from typing import Annotated, Any
from uuid import UUID

import httpx2
import jwt
import structlog
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
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
ALGORITHMS = {
    rsa.RSAPublicKey: ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
    ec.EllipticCurvePublicKey: ["ES256", "ES384", "ES512"],
    ed25519.Ed25519PublicKey: ["EdDSA"],
}
"""What a key of each kind may verify. A shared secret verifies nothing."""


@dataclass(frozen=True)
class Principal:
    """A caller whose token was valid. `offices` and `organizations` say for which of them the roles hold."""

    subject: str
    roles: frozenset[Role] = frozenset()
    offices: frozenset[str] = frozenset()
    organizations: frozenset[UUID] = frozenset()
    headed: frozenset[str] = frozenset()
    """The offices whose head the caller is, among `offices`."""
    machine: bool = False
    name: str = field(default="", compare=False)
    """As the identity provider writes it, or else the e-mail address; empty if the token has neither."""
    expires_at: float = field(default=0.0, compare=False)

    def has(self, *roles: Role) -> bool:
        """Whether the caller has one of these roles; an administrator has them all."""
        return bool(self.roles & {*roles, Role.ADMINISTRATOR})

    def heads(self, office: str) -> bool:
        """Whether the caller is the head of this office, and not merely of another one; an administrator is of all."""
        return office in self.headed or Role.ADMINISTRATOR in self.roles

    def represents(self, organization: UUID) -> bool:
        return organization in self.organizations


def principal_from(claims: dict[str, Any], groups_claim: str, rules: Iterable[RoleRule]) -> Principal:
    """Maps a token's groups, or a machine's client id, to roles as the jurisdiction pack says."""
    groups: Any = claims
    for part in groups_claim.split("."):
        groups = groups.get(part, ()) if isinstance(groups, dict) else ()
    names = [str(g).removeprefix("/") for g in groups] if isinstance(groups, list | tuple) else []
    client = str(claims.get("client_id") or claims.get("azp") or "")
    # Keycloak names a client's own account after it and gives it a subject of its own.
    machine = bool(client) and (
        claims.get("sub") == client or claims.get("preferred_username") == f"service-account-{client}"
    )
    roles, offices, headed, organizations = set(), set(), set(), set()
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
                if rule.role is Role.HEAD:
                    headed.add(office)
            if organization:
                organizations.add(organization)
    return Principal(
        subject=str(claims.get("sub") or client),
        roles=frozenset(roles),
        offices=frozenset(offices),
        organizations=frozenset(organizations),
        headed=frozenset(headed),
        machine=machine,
        name=str(claims.get("name") or claims.get("preferred_username") or claims.get("email") or ""),
        expires_at=float(claims["exp"]),
    )


class Verifier:
    """Checks tokens: a JWT by the issuer's keys, an opaque token by asking the issuer (RFC 7662).

    Keys are fetched anew when they are old, when a token names one that is not known, or when a signature does not fit, but at most
    every `COOLDOWN` seconds; while the issuer is away the last ones serve.
    """

    COOLDOWN = 15.0
    KEYS_AGE = 600.0
    INTROSPECTED = 60.0
    REFUSED = 10.0
    AWAY = 2.0
    REMEMBERED = 10_000

    def __init__(self, settings: CommonSettings, rules: Iterable[RoleRule]) -> None:
        self._settings = settings
        self._rules = tuple(rules)
        self._keys: dict[str | None, Any] = {}
        self._fetched_at = self._tried_at = self._away_until = -self.KEYS_AGE
        self._lock = threading.Lock()
        self._known: dict[bytes, Principal] = {}
        self._refused: dict[bytes, float] = {}
        self._http = httpx2.Client(timeout=5, trust_env=False)

    def remembered(self, token: str) -> Principal | None:
        """The caller if this very token was verified lately. Raises `Problem` 401 if it was refused lately."""
        digest = hashlib.sha256(token.encode()).digest()
        if self._refused.get(digest, 0) > time.time():
            raise _unauthenticated()
        known = self._known.get(digest)
        return known if known is not None and known.expires_at > time.time() else None

    def verify(self, token: str) -> Principal:
        """The caller behind a token. May ask the issuer over the network. Raises `Problem`: 401, or 503 when the issuer is away."""
        digest = hashlib.sha256(token.encode()).digest()
        for memory in (self._known, self._refused):
            if len(memory) >= self.REMEMBERED:
                memory.clear()
        try:
            claims = self._jwt_claims(token) if token.count(".") == 2 else self._introspected_claims(token)
        except (jwt.PyJWTError, TypeError, ValueError) as error:
            log.info("token_refused", error=type(error).__name__)
            self._refused[digest] = time.time() + self.REFUSED
            raise _unauthenticated() from None
        # A key that the issuer withdraws is not trusted for longer than keys are.
        claims["exp"] = min(float(claims["exp"]), time.time() + self.KEYS_AGE)
        principal = principal_from(claims, self._settings.oidc_groups_claim, self._rules)
        self._known[digest] = principal
        return principal

    def _jwt_claims(self, token: str) -> dict[str, Any]:
        kid = jwt.get_unverified_header(token).get("kid")
        if kid not in self._keys or time.monotonic() - self._fetched_at > self.KEYS_AGE:
            self._fetch_keys()
        try:
            return self._decoded(token, kid)
        except jwt.InvalidSignatureError:
            self._fetch_keys()  # the issuer may have given the same name to another key
            return self._decoded(token, kid)

    def _decoded(self, token: str, kid: str | None) -> dict[str, Any]:
        key: Any = self._keys.get(kid)
        algorithms = next((names for kind, names in ALGORITHMS.items() if isinstance(key, kind)), None)
        if algorithms is None:
            raise jwt.InvalidKeyError("unknown key")
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=algorithms,
            audience=self._settings.oidc_audience,
            issuer=self._settings.oidc_issuer,
            options={"require": ["exp", "iss", "aud", "sub"]},
            leeway=5,
        )
        return claims

    def _fetch_keys(self) -> None:
        with self._lock:
            if time.monotonic() - self._tried_at < self.COOLDOWN:
                if not self._keys:
                    raise _away()
                return
            self._tried_at = time.monotonic()
            settings = self._settings
            try:
                url = settings.oidc_jwks_url
                if not url:
                    discovery = f"{settings.oidc_issuer.rstrip('/')}/.well-known/openid-configuration"
                    url = self._http.get(discovery).raise_for_status().json()["jwks_uri"]
                keys = jwt.PyJWKSet.from_dict(self._http.get(url).raise_for_status().json()).keys
            except (httpx2.HTTPError, KeyError, ValueError, jwt.PyJWTError) as error:
                log.warning("issuer_keys_unavailable", error=type(error).__name__)
                if not self._keys:
                    self._tried_at = time.monotonic() - self.COOLDOWN + self.AWAY  # without keys, ask again soon
                    raise _away() from None
                return
            # The bare key, since an issuer need not publish `alg` and PyJWT would then take the weakest of the kind.
            self._keys = {key.key_id: key.key for key in keys}
            self._fetched_at = time.monotonic()

    def _introspected_claims(self, token: str) -> dict[str, Any]:
        settings = self._settings
        if not settings.oidc_introspection_url:
            raise jwt.InvalidTokenError("opaque tokens are not accepted")
        if time.monotonic() < self._away_until:
            raise _away()
        try:
            answer = self._http.post(
                settings.oidc_introspection_url,
                data={"token": token},
                auth=(settings.oidc_client_id, settings.oidc_client_secret.get_secret_value()),
            )
            claims: dict[str, Any] = answer.raise_for_status().json()
        except (httpx2.HTTPError, ValueError) as error:
            log.warning("introspection_unavailable", error=type(error).__name__)
            self._away_until = time.monotonic() + self.AWAY
            raise _away() from None
        audience = claims.get("aud") or []
        audiences = [audience] if isinstance(audience, str) else audience
        # RFC 7662 leaves `aud` and `iss` optional; what is there must be ours.
        foreign = (audiences and settings.oidc_audience not in audiences) or claims.get(
            "iss", settings.oidc_issuer
        ) != settings.oidc_issuer
        if not claims.get("active") or foreign:
            raise jwt.InvalidTokenError("not active, or not for us")
        soon = time.time() + self.INTROSPECTED
        # A token of client credentials has no person behind it: its subject is the client.
        subject = claims.get("sub") or claims.get("username") or claims.get("client_id")
        return claims | {"sub": subject, "exp": min(float(claims.get("exp") or soon), soon)}


def _away() -> Problem:
    return Problem(503, "identity_unavailable", headers={"Retry-After": "5"})


def _unauthenticated() -> Problem:
    return Problem(401, "unauthenticated", headers={"WWW-Authenticate": "Bearer"})


class RateLimit:
    """Lets an address call the public routes so often. Counted in memory, by each process its own, so that it needs no Redis."""

    def __init__(self, rate: str) -> None:
        self._rate = parse(rate)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def check(self, address: str) -> None:
        address = _counted_as(address)
        if not self._limiter.hit(self._rate, address):
            window = self._limiter.get_window_stats(self._rate, address)
            wait = max(1, int(window.reset_time - time.time()) + 1)
            raise Problem(429, "too_many", headers={"Retry-After": str(wait)}, seconds=wait)


@cache
def _verifications() -> CapacityLimiter:
    """Threads for asking the issuer: few, and none of those that serve requests, so that an issuer that hangs holds up nobody else."""
    return CapacityLimiter(4)


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
            try:
                principal = verifier.remembered(credentials.credentials) or await run_sync(
                    verifier.verify, credentials.credentials, limiter=_verifications()
                )
            except Problem:
                self.count(request)  # whoever tries tokens out is a stranger
                raise
        request.state.caller = principal
        return principal

    @staticmethod
    def count(request: Request) -> None:
        """Counts a call of an address without a valid token; raises `Problem` 429 when there were too many."""
        limit: RateLimit = request.app.state.rate_limit
        limit.check(request.client.host if request.client else "")


def _counted_as(address: str) -> str:
    """An IPv6 subscriber has a whole network of addresses and counts as one."""
    try:
        return str(ip_network(f"{address}/64", strict=False)) if ip_address(address).version == 6 else address
    except ValueError:
        return address


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
            self.count(request)
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
