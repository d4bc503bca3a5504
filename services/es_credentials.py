"""The API key and the authorities for Elasticsearch, which may change while a program runs.

    request with the key as known ── 401 ──▶ read the settings anew ── another key ──▶ once more
    connection ── not trusted ──▶ read the authority's file anew ── it has changed ──▶ once more

A mounted secret changes in place, so what is refused is a reason to look at it again: nobody has to
watch files, and the old key is good until it is invalidated. The key is the one of the settings as
they are now, also where a client was made with another. An authority is added to those that are
trusted; one that is gone from the file is trusted until the program ends.
"""

import ssl
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import structlog
from elastic_transport import TlsError, TransportApiResponse
from pydantic import SecretStr

from services.errors import SettingsError
from services.es_metrics import MeasuredTransport
from services.settings import ElasticsearchSettings, load

AUTHORIZATION: Final = "authorization"

log = structlog.get_logger("services")


class Credentials:
    """What a client shows to Elasticsearch, and whom it trusts. `ssl_context` is None where the
    system's own authorities are enough.
    """

    def __init__(self, settings: ElasticsearchSettings) -> None:
        self._settings = settings
        self._authorities = b""
        self.key = _text(settings.api_key)
        self.ssl_context: ssl.SSLContext | None = None
        if settings.ca_file:
            self._authorities = settings.ca_file.read_bytes()
            self.ssl_context = _context(self._authorities)

    def headers(self) -> dict[str, str]:
        """To be sent with every request."""
        return {AUTHORIZATION: f"ApiKey {self.key}"} if self.key else {}

    def renew(self, refused: str | None) -> bool:
        """After this key was refused: whether there is another one now."""
        if self.key == refused:
            try:
                self.key = _text(load(ElasticsearchSettings).api_key) or refused
            except SettingsError:  # the file is just being changed
                return False
            if self.key != refused:
                log.info("elasticsearch_key_renewed")
        return self.key != refused

    def trust_anew(self) -> bool:
        """After a certificate was not trusted: whether there is a new authority now."""
        if not self.ssl_context or not self._settings.ca_file:
            return False
        try:
            found = self._settings.ca_file.read_bytes()
            if found == self._authorities:
                return False
            self.ssl_context.load_verify_locations(cadata=found.decode("ascii"))
        except (OSError, ValueError):  # the file is just being changed, or is none
            return False
        self._authorities = found
        log.info("elasticsearch_authority_renewed")
        return True


class RenewingTransport(MeasuredTransport):
    """The transport of the programs that write; `credentials` are set before the first request."""

    credentials: Credentials

    def perform_request(self, method: str, target: str, **options: Any) -> TransportApiResponse:
        """Send it, once more where new credentials help. Raises what the library raises."""
        sent = self.credentials.key
        try:
            response = super().perform_request(method, target, **_with(self.credentials, options))
            if not is_refused(response) or not self.credentials.renew(sent):
                return response
        except TlsError:
            if not self.credentials.trust_anew():
                raise
        return super().perform_request(method, target, **_with(self.credentials, options))


def is_refused(response: TransportApiResponse) -> bool:
    """Whether Elasticsearch does not know the key."""
    return response.meta.status == HTTPStatus.UNAUTHORIZED


def _with(credentials: Credentials, options: Mapping[str, Any]) -> dict[str, Any]:
    headers = dict(options.get("headers") or {})
    return {**options, "headers": headers | credentials.headers()}


def _context(authorities: bytes) -> ssl.SSLContext:
    """Raises SettingsError for what is no PEM."""
    try:
        return ssl.create_default_context(cadata=authorities.decode("ascii"))
    except (ValueError, ssl.SSLError):
        raise SettingsError("RECORDINGS_ELASTICSEARCH_CA_FILE: no certificate (PEM)") from None


def _text(key: SecretStr | None) -> str | None:
    return key.get_secret_value() if key else None
