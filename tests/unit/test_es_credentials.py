"""When a key or an authority is read again, and when not."""

from pathlib import Path

import pytest
from pydantic import AnyHttpUrl, SecretStr

from services.errors import SettingsError
from services.es_credentials import Credentials
from services.settings import ElasticsearchSettings
from tests.tls import Authority


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file of the key."""
    monkeypatch.delenv("RECORDINGS_ELASTICSEARCH_API_KEY", raising=False)
    monkeypatch.setenv("RECORDINGS_SECRETS_DIR", str(tmp_path))
    return tmp_path / "RECORDINGS_ELASTICSEARCH_API_KEY"


def test_another_key_is_tried_once(file: Path) -> None:
    credentials = Credentials(ElasticsearchSettings(api_key=SecretStr("old")))
    assert credentials.headers() == {"authorization": "ApiKey old"}
    file.write_text("old")
    assert not credentials.renew("old")
    file.write_text("new")
    assert credentials.headers() == {"authorization": "ApiKey old"}
    assert credentials.renew("old")
    assert credentials.headers() == {"authorization": "ApiKey new"}
    assert credentials.renew("old"), "another request was faster, and this one may try as well"
    assert not credentials.renew("new")


def test_a_key_that_is_gone_is_no_other_key(file: Path) -> None:
    credentials = Credentials(ElasticsearchSettings(api_key=SecretStr("old")))
    assert not credentials.renew("old")
    file.write_text("")
    assert not credentials.renew("old")
    assert credentials.headers() == {"authorization": "ApiKey old"}


def test_without_a_key_nothing_is_sent(file: Path) -> None:
    assert Credentials(ElasticsearchSettings()).headers() == {}


def with_authority(file: Path) -> Credentials:
    return Credentials(ElasticsearchSettings(url=AnyHttpUrl("https://localhost"), ca_file=file))


def test_an_authority_is_read_again_when_its_file_has_changed(tmp_path: Path) -> None:
    first, second = (Authority.make(tmp_path / name) for name in ("first", "second"))
    file = tmp_path / "ca.crt"
    file.write_bytes(first.ca_file.read_bytes())
    credentials = with_authority(file)
    assert credentials.ssl_context
    assert not credentials.trust_anew()
    for damaged in (b"", b"no certificate", "\u00e9".encode()):
        file.write_bytes(damaged)
        assert not credentials.trust_anew(), damaged
    file.write_bytes(second.ca_file.read_bytes())
    assert credentials.trust_anew()
    assert not credentials.trust_anew()
    assert len(credentials.ssl_context.get_ca_certs()) == 2


def test_a_file_without_an_authority(tmp_path: Path) -> None:
    file = tmp_path / "ca.crt"
    file.write_text("no certificate")
    with pytest.raises(SettingsError, match="RECORDINGS_ELASTICSEARCH_CA_FILE"):
        with_authority(file)
