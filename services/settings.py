"""Every setting of the service: the only module that reads the environment.

One small class for each concern, so that a program asks only for what it needs. A variable is the
class's prefix and the field's name in upper case, `RECORDINGS_API_PORT` for example. The same name
as a file in the folder of secrets works too (for secrets); the environment wins over the file.
"""

from pathlib import Path
from typing import Annotated, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AnyHttpUrl,
    Field,
    FilePath,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from services.errors import SettingsError

_ORIGIN = r"https?://[a-z0-9.:\[\]-]+"
Region = Annotated[str, StringConstraints(pattern="^[A-Z]{2}$")]


def _config(prefix: str) -> SettingsConfigDict:
    return SettingsConfigDict(
        env_prefix=prefix,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )


class SecretsSettings(BaseSettings):
    """Where the files of secrets are.

    dir: the folder of files that are called as settings, and hold the values.
    """

    model_config = _config("RECORDINGS_SECRETS_")

    dir: Path = Path("/run/secrets")


class Settings(BaseSettings):
    """A group of settings: from the environment, else from the files of secrets as they are now."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (as the superclass has it)
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        folder = SecretsSettings().dir
        files = (SecretsSettingsSource(settings_cls, folder),) if folder.is_dir() else ()
        return init_settings, env_settings, *files


class ElasticsearchSettings(Settings):
    """Where Elasticsearch is.

    url: the address of Elasticsearch.
    api_key: as Elasticsearch gave it, encoded; without it requests are anonymous. Another key in
    its file is taken as soon as Elasticsearch refuses the one before, without a restart.
    ca_file: the authority (PEM) that signed the certificate of an https address, where the
    system's own authorities did not. What is added to the file is trusted without a restart.
    """

    model_config = _config("RECORDINGS_ELASTICSEARCH_")

    url: AnyHttpUrl = AnyHttpUrl("http://127.0.0.1:9200")
    api_key: SecretStr | None = None
    ca_file: FilePath | None = None

    @model_validator(mode="after")
    def _an_authority_is_for_https(self) -> Self:
        if self.ca_file and self.url.scheme != "https":
            raise ValueError("RECORDINGS_ELASTICSEARCH_CA_FILE needs an https address")
        return self


class IndexSettings(Settings):
    """How the indices are called, and how large ones are spread.

    prefix: what their names begin with; the same for all programs.
    shards: over how many shards the recordings are spread; another number takes effect with the
    next reindex (`init` and `reindex` read it).
    replicas: copies of each shard, as far as there are nodes to hold them; likewise.
    """

    model_config = _config("RECORDINGS_INDEX_")

    prefix: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")] = "voice"
    shards: Annotated[int, Field(ge=1, le=500)] = 1
    replicas: Annotated[int, Field(ge=0, le=10)] = 1


class PhoneSettings(Settings):
    """Where a telephone number without a country code belongs to.

    Both programs need the same values: one writes the numbers, the other looks them up.

    region: the region of every tenant (ISO 3166), `IT` for example; the same for API and workers.
    regions: the regions of single tenants, as JSON: `{"acme": "IT"}`; the same for API and workers.
    """

    model_config = _config("RECORDINGS_PHONE_")

    region: Region | None = None
    regions: dict[str, Region] = {}

    def region_of(self, tenant_id: str) -> str | None:
        return self.regions.get(tenant_id, self.region)


class RedisSettings(Settings):
    """The broker.

    redis_url: the address of Redis; `rediss://` is TLS, whose authority `?ssl_ca_certs=FILE` names.
    visibility_timeout: how long (seconds) a lost worker's messages stay away from the others.
    """

    model_config = _config("RECORDINGS_")

    redis_url: Annotated[str, StringConstraints(pattern=r"^(rediss?|unix)://")] = (
        "redis://127.0.0.1:6379/0"
    )
    visibility_timeout: Annotated[int, Field(ge=2, le=86_400)] = 300

    @property
    def broker_url(self) -> str:
        """The address for Celery, which by itself takes any certificate."""
        address = urlsplit(self.redis_url)
        if address.scheme != "rediss" or "ssl_" in address.query:
            return self.redis_url
        return f"{self.redis_url}{'&' if address.query else '?'}ssl_cert_reqs=required"

    @property
    def deadline(self) -> float:
        """How long (seconds) a worker tries one message: well before Redis takes it for lost."""
        return self.visibility_timeout / 4


class WorkerSettings(Settings):
    """The bounds of a worker's work.

    bulk_count, bulk_bytes: documents and bytes (as sent) of one bulk request.
    max_document_bytes: a recording that is larger goes to the dead letters.
    max_message_bytes: a message (as the broker holds it) that is larger is not read; a dead letter
    without its text is left of it.
    prefetch_count, prefetch_bytes: messages held in memory; bytes of them beyond the first.
    metrics_host, metrics_port: where /metrics and /healthz are served; port 0: nowhere.
    budget_exit_status: of a worker that stops because most events fail for good.
    """

    model_config = _config("RECORDINGS_WORKER_")

    bulk_count: Annotated[int, Field(ge=1, le=10_000)] = 500
    bulk_bytes: Annotated[int, Field(ge=1_000, le=90_000_000)] = 5_000_000
    max_document_bytes: Annotated[int, Field(ge=1_000, le=90_000_000)] = 32_000_000
    max_message_bytes: Annotated[int, Field(ge=1_000, le=500_000_000)] = 64_000_000
    prefetch_count: Annotated[int, Field(ge=1, le=10_000)] = 500
    prefetch_bytes: Annotated[int, Field(ge=1_000)] = 8_000_000
    metrics_host: str = "127.0.0.1"
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] = 0
    budget_exit_status: Annotated[int, Field(ge=0, le=125)] = 3


class RetentionSettings(Settings):
    """How many days things are kept, for `purge`.

    queue_days: how long a message can be in the queue; nothing is removed from there.
    dead_letters_days: how long a dead letter is kept.
    tombstones_days: how long a deleted thing is remembered; at least as long as both others, else
    `purge` refuses.
    """

    model_config = _config("RECORDINGS_RETENTION_")

    queue_days: Annotated[int, Field(ge=1, le=36_500)] = 7
    dead_letters_days: Annotated[int, Field(ge=1, le=36_500)] = 30
    tombstones_days: Annotated[int, Field(ge=1, le=36_500)] = 90


class ReindexSettings(Settings):
    """How fast a reindex may be, and how it reads an HTTP source.

    slices: lanes that read and write beside each other.
    documents_per_second: of all lanes together; 0 is as fast as Elasticsearch takes them.
    bulk_count, bulk_bytes: documents and bytes (as sent) of one bulk request.
    page_size: events asked for with one request of an HTTP source (also of `check`).
    source_token: the bearer token of an HTTP source.
    """

    model_config = _config("RECORDINGS_REINDEX_")

    slices: Annotated[int, Field(ge=1, le=32)] = 2
    documents_per_second: Annotated[int, Field(ge=0)] = 0
    bulk_count: Annotated[int, Field(ge=1, le=10_000)] = 500
    bulk_bytes: Annotated[int, Field(ge=1_000, le=90_000_000)] = 5_000_000
    page_size: Annotated[int, Field(ge=1, le=10_000)] = 500
    source_token: SecretStr | None = None


class LogSettings(Settings):
    """What the programs' logs say of tenants and users.

    hash_key: what tenants and users are hashed with in the logs. The same for all programs, else
    the same tenant is another word in each. Without it each process makes a key of its own.
    """

    model_config = _config("RECORDINGS_LOG_")

    hash_key: Annotated[SecretStr, Field(min_length=32)] | None = None


class TracesSettings(Settings):
    """Where traces go (OpenTelemetry); what else there is to say of it are its own OTEL_ variables.

    endpoint: where spans are sent (OTLP over HTTP), `http://collector:4318/v1/traces` for example.
    Without it there are no traces.
    ratio: the share of traces that is kept, where the caller has not decided it.
    """

    model_config = _config("RECORDINGS_TRACES_")

    endpoint: AnyHttpUrl | None = None
    ratio: Annotated[float, Field(ge=0, le=1)] = 1.0


class ApiSettings(Settings):
    """Where the API listens and what it allows; times in seconds.

    host, port: the address that the API listens on.
    base_path: what stands before `/v1/recordings`, `/voice-analytics` for example.
    max_quantity: recordings of one page.
    search_timeout: seconds that one search of Elasticsearch may take.
    max_searches: searches at once, of one process; more wait a moment, then are answered with 503.
    cursor_key: what cursors are signed with. Replicas must share it, else one does not take the
    cursors of another. Without it each process makes a key of its own, and cursors end with it.
    cursor_lifetime: how long (seconds) after its page a cursor is taken.
    cors_origins: the web pages that may call the endpoint from a browser, a comma list of exact
    origins, `https://app.example.com` for example; without any there is no CORS.
    access_log: a line of the log for each request, but for the probes that succeed.
    audit_log: a line of the log for each search and for each recording that is asked for: who, with
    which parameters (never their values), and how much was found.
    """

    model_config = _config("RECORDINGS_API_")

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535)] = 8080
    base_path: Annotated[str, StringConstraints(pattern=r"^(/[A-Za-z0-9._~-]+)*$")] = ""
    max_quantity: Annotated[int, Field(ge=1, le=10_000)] = 1000
    search_timeout: Annotated[float, Field(gt=0, le=300)] = 10.0
    max_searches: Annotated[int, Field(ge=1, le=1000)] = 16
    cursor_key: Annotated[SecretStr, Field(min_length=32)] | None = None
    cursor_lifetime: Annotated[float, Field(gt=0, le=604_800)] = 3600.0
    cors_origins: Annotated[str, StringConstraints(pattern=f"^({_ORIGIN}(,{_ORIGIN})*)?$")] = ""
    access_log: bool = False
    audit_log: bool = False


class AuthSettings(Settings):
    """What a token is verified against.

    jwks_url: where the keys of tokens are (JWKS); this or the public key, not both.
    public_key: the only key of tokens (PEM).
    issuer: the `iss` of tokens.
    audience: the `aud` of tokens.
    """

    model_config = _config("RECORDINGS_AUTH_")

    jwks_url: AnyHttpUrl | None = None
    public_key: str | None = None
    issuer: Annotated[str, StringConstraints(min_length=1)]
    audience: Annotated[str, StringConstraints(min_length=1)]

    @model_validator(mode="after")
    def _one_source_of_keys(self) -> Self:
        if (self.jwks_url is None) == (self.public_key is None):
            raise ValueError("set one of RECORDINGS_AUTH_JWKS_URL and RECORDINGS_AUTH_PUBLIC_KEY")
        return self


S = TypeVar("S", bound=BaseSettings)


def load(settings: type[S]) -> S:
    """Read one group of settings.

    Raises SettingsError with the name of the first wrong setting; never with its value.
    """
    try:
        return settings()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        prefix = settings.model_config.get("env_prefix", "")
        name = (
            prefix + "__".join(str(part) for part in first["loc"]).upper() if first["loc"] else ""
        )
        raise SettingsError(f"{name}: {first['msg']}" if name else first["msg"]) from None
