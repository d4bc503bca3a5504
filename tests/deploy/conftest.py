"""One Elasticsearch with security and TLS for all tests of this folder."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deploy.local.errors import StackError
from deploy.local.settings import state_root
from tests.deploy.secured import Secured, secured
from tests.tls import Authority


@contextmanager
def _of_half_the_memory() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECORDINGS_LOCAL_ELASTICSEARCH_HEAP", "512m")
        yield


@pytest.fixture(scope="session")
def secured_elasticsearch() -> Iterator[Secured]:
    folder = state_root() / f"secured-{uuid.uuid4().hex[:8]}"
    try:
        with (
            _of_half_the_memory(),
            secured(folder, Authority.make(folder / "authority")) as server,
        ):
            yield server
    except StackError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no Elasticsearch with security can be started here: {error}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
