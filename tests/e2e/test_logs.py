"""What the programs write to their logs: JSON, whose request it was, and nothing personal.

One test asks and fails in every way there is, with values that are found anywhere, and then reads
all that the API and the worker have written.
"""

import hashlib
import hmac
import json
import socket
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import requests

KEY: Final = "a-key-of-the-logs-0123456789abcdef"
TENANT: Final = "Umbrella-GmbH"
OWNER: Final = "5a5a5a5a-0000-4000-8000-00000000000a"
STRANGER: Final = "6b6b6b6b-0000-4000-8000-00000000000b"
TAG: Final = "7c7c7c7c-0000-4000-8000-00000000000c"
RECORDING: Final = "call-of-quillon"
# What was said, who with, which ids: in any case, nowhere in a log.
PERSONAL: Final = ("zebrafish", "marzipan", "Quillon", "Vartanian", "2125550199")
# Neither are these, which are no ids of ours.
ASKED: Final = ("wolverine", "tangerine", "8005550123", "peppermint", "licorice", "persimmon")
IDS: Final = (TENANT, OWNER, STRANGER, TAG, RECORDING)
EVENTS: Final = [
    {
        "type": "recording.saved",
        "tenantId": TENANT,
        "recordingId": RECORDING,
        "version": 1,
        "occurredAt": "2026-04-25T10:30:00Z",
        "recording": {
            "ownerId": OWNER,
            "from": {"fullName": "Quillon Vartanian", "phoneNumber": "+12125550199"},
            "language": "en",
            "tags": [{"id": TAG, "value": "persimmon"}],
            "transcript": [{"speaker": "agent", "offset": 1, "text": "zebrafish and marzipan"}],
        },
    },
    {
        "type": "note.saved",
        "tenantId": TENANT,
        "recordingId": RECORDING,
        "noteId": "peppermint",
        "version": 1,
        "occurredAt": "2026-04-25T10:30:00Z",
        "note": {"authorId": OWNER, "text": "licorice", "createdAt": "2026-04-25T10:30:00Z"},
    },
    {
        "type": "recording.saved",
        "tenantId": TENANT,
        "recordingId": "marzipan",
        "version": 1,
        "occurredAt": "2026-04-25T10:30:00Z",
        "recording": {"ownerId": OWNER},
    },
    {"type": "recording.saved", "tenantId": TENANT, "recordingId": "zebrafish", "version": 1},
]
BOTH: Final = {"RECORDINGS_LOG_HASH_KEY": KEY}


def word_for(name: str) -> str:
    """As deploy/README.md says that an auditor finds it."""
    return hmac.new(KEY.encode(), name.encode(), hashlib.sha256).hexdigest()[:16]


def lines(log: str) -> list[dict[str, Any]]:
    """Every line is a JSON object."""
    parsed = [json.loads(line) for line in log.splitlines()]
    assert all(
        isinstance(one, dict) and {"event", "level", "timestamp"} <= set(one) for one in parsed
    )
    return parsed


def test_the_logs_say_which_request_and_nothing_personal(
    make_deployment: Any,
    relay: Any,
    elasticsearch_url: str,
    make_token: Callable[..., str],
    eventually: Callable[..., Any],
) -> None:
    with make_deployment() as deployment:
        worker = deployment.start("recordings-indexer", "worker", **BOTH)
        api = deployment.serve(
            RECORDINGS_ELASTICSEARCH_URL=f"http://127.0.0.1:{relay.port}",
            RECORDINGS_API_ACCESS_LOG="true",
            RECORDINGS_API_AUDIT_LOG="true",
            **BOTH,
        )
        given = b"\n".join(json.dumps(event).encode() for event in EVENTS)
        assert deployment.run("recordings-indexer", "publish", "-", given=given).returncode == 0
        token = make_token(OWNER, "administrator", TENANT)
        answers: list[tuple[int, str]] = []

        def ask(
            query: str = "quantity=10&from=0",
            bearer: str = token,
            path: str = "/v1/recordings",
            method: str = "GET",
            body: str | None = None,
        ) -> requests.Response:
            answer = requests.request(
                method,
                f"{deployment.base}{path}?{query}",
                headers={"Authorization": f"Bearer {bearer}"},
                data=body,
                timeout=60,
            )
            answers.append((answer.status_code, answer.headers["X-Request-ID"]))
            return answer

        eventually(lambda: ask("quantity=1&from=0&noteswords=licorice").json()["total"] == 1)
        eventually(lambda: ask("quantity=1&from=0").json()["total"] == 2)
        everything = (
            f"quantity=10&from=0&words=wolverine OR zebrafish&tel=2125550199,8005550123"
            f"&noteswords=licorice&users={OWNER}&tagids={TAG}&highlight=true&facets=tags,users"
        )
        found = ask(everything)
        assert (found.status_code, found.json()["total"]) == (200, 1)
        walk = ask("quantity=1&from=0&cursor=")
        cursor = walk.json()["nextCursor"]
        statuses = [
            ask(f"quantity=1&from=0&cursor={cursor}").status_code,
            ask(f"quantity=1&from=0&cursor={cursor}tangerine").status_code,
            ask(path=f"/v1/recordings/{RECORDING}", query="").status_code,
            ask(path="/v1/recordings/tangerine", query="").status_code,
            ask(path="/tangerine", query="").status_code,
            ask("quantity=10&from=0&words=tangerine AND").status_code,
            ask("quantity=10&from=0&tangerine=wolverine").status_code,
            ask("quantity=10&from=0&tel=wolverine").status_code,
            ask(bearer="tangerine.wolverine.peppermint").status_code,
            ask(bearer=make_token(OWNER, "user", TENANT, exp=1)).status_code,
            ask(bearer=make_token(OWNER, "tangerine", TENANT)).status_code,
            ask(
                f"quantity=10&from=0&users={STRANGER}", make_token(OWNER, "user", TENANT)
            ).status_code,
            ask(method="POST").status_code,
            ask(body="wolverine").status_code,
        ]
        assert statuses == [200, 400, 200, 404, 404, 400, 400, 400, 401, 401, 403, 403, 405, 400]
        _send_what_is_no_request(deployment.base, f"tangerine {token}")
        refused = _words_that_none_knows(ask)
        assert refused.status_code in (200, 400)
        relay.cut()
        assert ask(everything).status_code == 503
        relay.mend()
        prefix = deployment.environment["RECORDINGS_INDEX_PREFIX"]
        _spoil_a_document(elasticsearch_url, prefix)
        assert ask(everything).json()["code"] == "internal"
        _spoil_the_index(elasticsearch_url, prefix)
        assert ask(everything).json()["code"] == "internal"

        written = lines(deployment.log_of(api))
        text = deployment.log_of(api) + deployment.log_of(worker)
        assert len(lines(deployment.log_of(worker))) >= 1
        _has_nothing_of(text, (*PERSONAL, *ASKED, *IDS, *token.split("."), cursor))
        at_the_start = {"cursor_key_is_not_set", "listening"}
        of_requests = [one for one in written if one["event"] not in at_the_start]
        known = {identity for _, identity in answers}
        assert [one for one in of_requests if "request_id" not in one] == []
        assert {"request_failed", "backend_failed"} <= {one["event"] for one in written}

        by_request = {one["request_id"]: one for one in written if one["event"] == "search_audited"}
        answered = {
            one["request_id"]: one["status"]
            for one in written
            if one["event"] == "request_answered"
        }
        assert {identity: status for status, identity in answers} == {
            identity: status for identity, status in answered.items() if identity in known
        }
        audited = by_request[found.headers["X-Request-ID"]]
        assert {name: audited[name] for name in audited if name not in ("timestamp", "level")} == {
            "event": "search_audited",
            "request_id": found.headers["X-Request-ID"],
            "tenant": word_for(TENANT),
            "subject": word_for(OWNER),
            "role": "administrator",
            "route": "/v1/recordings",
            "recording": None,
            "status": 200,
            "parameters": sorted(
                ["quantity", "from", "words", "tel", "noteswords", "users", "tagids"]
                + ["highlight", "facets"]
            ),
            "words": True,
            "found": 1,
            "returned": 1,
        }


def _has_nothing_of(text: str, values: tuple[str, ...]) -> None:
    lowered = text.lower()
    assert [value for value in values if value.lower() in lowered] == []


def _words_that_none_knows(ask: Callable[..., requests.Response]) -> requests.Response:
    """Refused by Elasticsearch, or not: more clauses than it takes."""
    return ask("quantity=10&from=0&words=" + " ".join(["wolverine*"] * 20))


def _send_what_is_no_request(base: str, secret: str) -> None:
    address = urlsplit(base)
    for first in (f"GET /{secret}", f"{secret} / HTTP/1.1"):
        with socket.create_connection((address.hostname or "", address.port or 0), 10) as raw:
            raw.sendall(f"{first}\r\nX-A: {secret}\r\n\r\n".encode())
            assert b" 400 " in raw.recv(65_536)


def _spoil_a_document(elasticsearch_url: str, prefix: str) -> None:
    """Our own code fails on it: it has a tenant and an owner, and no id."""
    document = {"tenantId": TENANT, "ownerId": OWNER, "from": {"fullName": "Quillon Vartanian"}}
    index = f"{elasticsearch_url}/{prefix}-recordings-000001"
    requests.post(
        f"{index}/_update_by_query?refresh=true",
        json={"script": {"source": "ctx._source.remove('recordingId')"}},
        timeout=30,
    ).raise_for_status()
    requests.post(f"{index}/_doc?refresh=true", json=document, timeout=30).raise_for_status()


def _spoil_the_index(elasticsearch_url: str, prefix: str) -> None:
    """Elasticsearch refuses to sort by what an index has not: another takes the alias."""
    other = f"{prefix}-recordings-000009"
    requests.put(f"{elasticsearch_url}/{other}", timeout=30).raise_for_status()
    actions = [
        {"remove": {"index": f"{prefix}-recordings-000001", "alias": f"{prefix}-recordings"}},
        {"add": {"index": other, "alias": f"{prefix}-recordings"}},
    ]
    requests.post(
        f"{elasticsearch_url}/_aliases", json={"actions": actions}, timeout=30
    ).raise_for_status()


def test_a_line_of_the_keys_says_which_request(
    make_deployment: Any, make_token: Callable[..., str]
) -> None:
    with make_deployment() as deployment:
        api = deployment.serve(
            RECORDINGS_AUTH_PUBLIC_KEY="", RECORDINGS_AUTH_JWKS_URL="http://127.0.0.1:9/keys"
        )
        headers = {
            "Authorization": f"Bearer {make_token(OWNER, 'user', TENANT)}",
            "X-Request-ID": "night-1",
        }
        assert deployment.get(headers=headers).status_code == 503
        written = {one["event"]: one for one in lines(deployment.log_of(api))}
        assert written["jwks_failed"]["request_id"] == "night-1"
        assert written["backend_failed"]["request_id"] == "night-1"
        assert "log_hash_key_is_not_set" in written
        # By default neither of the logs of requests is there.
        assert not {"search_audited", "request_answered"} & set(written)


@pytest.mark.parametrize("given", ["", KEY])
def test_a_worker_says_that_it_has_no_key(
    make_deployment: Any, eventually: Callable[..., Any], given: str
) -> None:
    with make_deployment() as deployment:
        worker = deployment.start("recordings-indexer", "worker", RECORDINGS_LOG_HASH_KEY=given)
        sent = deployment.run(
            "recordings-indexer", "publish", "-", given=json.dumps(EVENTS[0]).encode()
        )
        assert sent.returncode == 0
        eventually(lambda: "events_applied" in deployment.log_of(worker))
        events = [one["event"] for one in lines(deployment.log_of(worker))]
        assert events.count("log_hash_key_is_not_set") == (0 if given else 1)
