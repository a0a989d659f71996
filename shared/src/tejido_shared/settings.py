"""The environment variables every service reads. A service adds its own in its `settings.py`; nothing else reads the environment."""

from pathlib import Path
from urllib.parse import quote

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class CommonSettings(BaseSettings):
    """What all services of one municipality share: `TEJIDO_…`."""

    model_config = SettingsConfigDict(env_prefix="TEJIDO_", extra="ignore")

    broker_url: SecretStr = Field(description="Redis that carries messages: redis://:password@host:port/0")
    jurisdiction: Path = Field(description="Folder of the jurisdiction pack, e.g. jurisdictions/co-bogota")
    data_key: SecretStr = Field(
        description="Fernet keys for personal data, comma separated: the first encrypts, every one decrypts"
    )
    public_url: str = Field("http://127.0.0.1:8100", description="Origin that citizens and frontends reach")
    oidc_issuer: str = Field("", description="Issuer of the access tokens that are accepted (`iss`)")
    oidc_jwks_url: str = Field("", description="Where the issuer's keys are; found from the issuer when empty")
    oidc_audience: str = Field("tejido", description="Audience a token must carry (`aud`)")
    oidc_groups_claim: str = Field(
        "groups", description="Claim that lists a person's groups; dotted for nested, e.g. realm_access.roles"
    )
    oidc_introspection_url: str = Field("", description="RFC 7662 endpoint for opaque tokens; none accepted when empty")
    oidc_client_id: str = Field("", description="Client that introspects")
    oidc_client_secret: SecretStr = Field(SecretStr(""), description="Its secret")
    rate_limit: str = Field(
        "60/minute", description="Public routes, per client address and process, as `limits` writes it"
    )
    otlp_endpoint: str = Field("", description="OpenTelemetry collector (OTLP over HTTP); no traces when empty")
    files: str = Field(
        "/var/lib/tejido/files",
        pattern=r"^(s3://.+|[^:]+)$",
        description="Where documents are kept: a directory, or s3://bucket/prefix",
    )
    files_endpoint: str = Field("", description="Of an S3 that is not Amazon's, e.g. https://minio.example:9000")
    files_region: str = Field("", description="Region of the bucket")
    files_key: str = Field("", description="Access key of the bucket")
    files_secret: SecretStr = Field(SecretStr(""), description="Its secret")
    clamav: str = Field(
        "", pattern=r"^(.+:\d+)?$", description="clamd that scans documents, host:port; none are scanned when empty"
    )
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")
    resend_after: float = Field(5.0, gt=0, description="Seconds an unconfirmed event waits before it is sent again")
    heartbeat_file: Path | None = Field(
        None, description="File that a worker, beat or relay touches while it runs well; a health check reads its age"
    )

    def tracking_url(self, number: str) -> str:
        """Where a citizen follows the request with this number. Their code is not in it."""
        return f"{self.public_url.rstrip('/')}/seguimiento/{quote(number, safe='')}"


class ServiceSettings(BaseSettings):
    """What each service has of its own; subclasses set the prefix, e.g. `REQUESTS_`."""

    model_config = SettingsConfigDict(extra="ignore")

    database_url: SecretStr = Field(description="postgresql+psycopg://role:password@host:port/database")
    database_pool: int = Field(15, gt=0, description="Connections one process may hold; also its request threads")
    worker_concurrency: int = Field(2, gt=0, description="Processes of one worker")
    common: CommonSettings = Field(default_factory=CommonSettings)
