"""Settings: a wrong one is told by its name, and its value is not shown."""

from pathlib import Path

import pytest

from services.errors import SettingsError
from services.settings import (
    ApiSettings,
    AuthSettings,
    ElasticsearchSettings,
    IndexSettings,
    LogSettings,
    PhoneSettings,
    RedisSettings,
    TracesSettings,
    load,
)


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        (ApiSettings, "RECORDINGS_API_PORT", "seven"),
        (ApiSettings, "RECORDINGS_API_MAX_QUANTITY", "0"),
        (ApiSettings, "RECORDINGS_API_BASE_PATH", "voice/"),
        (ApiSettings, "RECORDINGS_API_CURSOR_KEY", "too short for a key"),
        (ApiSettings, "RECORDINGS_API_CURSOR_LIFETIME", "soon"),
        (ApiSettings, "RECORDINGS_API_AUDIT_LOG", "perhaps"),
        (ApiSettings, "RECORDINGS_API_CORS_ORIGINS", "https://*"),
        (ApiSettings, "RECORDINGS_API_CORS_ORIGINS", "null"),
        (ApiSettings, "RECORDINGS_API_CORS_ORIGINS", "https://a.example/"),
        (ApiSettings, "RECORDINGS_API_CORS_ORIGINS", "https://A.example"),
        (ApiSettings, "RECORDINGS_API_CORS_ORIGINS", "https://a.example,"),
        (TracesSettings, "RECORDINGS_TRACES_ENDPOINT", "collector"),
        (TracesSettings, "RECORDINGS_TRACES_RATIO", "2"),
        (LogSettings, "RECORDINGS_LOG_HASH_KEY", "too short for a key"),
        (ApiSettings, "RECORDINGS_API_MAX_SEARCHES", "none"),
        (IndexSettings, "RECORDINGS_INDEX_PREFIX", "Voice"),
        (IndexSettings, "RECORDINGS_INDEX_SHARDS", "0"),
        (IndexSettings, "RECORDINGS_INDEX_REPLICAS", "-1"),
        (PhoneSettings, "RECORDINGS_PHONE_REGION", "Italy"),
    ],
)
def test_a_wrong_setting(
    monkeypatch: pytest.MonkeyPatch, group: type, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name) as caught:
        load(group)
    assert value not in str(caught.value).removeprefix(name)


def test_a_missing_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECORDINGS_AUTH_AUDIENCE", "a")
    monkeypatch.delenv("RECORDINGS_AUTH_ISSUER", raising=False)
    with pytest.raises(SettingsError, match="RECORDINGS_AUTH_ISSUER"):
        load(AuthSettings)


def test_a_tenant_has_its_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECORDINGS_PHONE_REGION", "DE")
    monkeypatch.setenv("RECORDINGS_PHONE_REGIONS", '{"acme": "IT"}')
    phones = load(PhoneSettings)
    assert (phones.region_of("acme"), phones.region_of("other")) == ("IT", "DE")


@pytest.mark.parametrize(
    ("given", "for_celery"),
    [
        pytest.param("redis://r/0", "redis://r/0", id="no TLS"),
        pytest.param("rediss://r/0", "rediss://r/0?ssl_cert_reqs=required", id="verified"),
        pytest.param(
            "rediss://r/0?db=1", "rediss://r/0?db=1&ssl_cert_reqs=required", id="beside another"
        ),
        pytest.param(
            "rediss://r/0?ssl_ca_certs=ca.pem", "rediss://r/0?ssl_ca_certs=ca.pem", id="authority"
        ),
    ],
)
def test_the_certificate_of_redis_is_always_verified(given: str, for_celery: str) -> None:
    assert RedisSettings(redis_url=given).broker_url == for_celery


def key() -> str | None:
    found = load(ElasticsearchSettings).api_key
    return found.get_secret_value() if found else None


def test_a_secret_is_read_from_its_file_each_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("RECORDINGS_ELASTICSEARCH_API_KEY", raising=False)
    monkeypatch.setenv("RECORDINGS_SECRETS_DIR", str(tmp_path))
    assert key() is None
    file = tmp_path / "RECORDINGS_ELASTICSEARCH_API_KEY"
    for text in ("old", "new"):
        file.write_text(f"{text}\n")
        assert key() == text
    monkeypatch.setenv("RECORDINGS_ELASTICSEARCH_API_KEY", "of the environment")
    assert key() == "of the environment"


def test_a_folder_of_secrets_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("RECORDINGS_ELASTICSEARCH_API_KEY", raising=False)
    monkeypatch.setenv("RECORDINGS_SECRETS_DIR", str(tmp_path / "nowhere"))
    assert key() is None
