"""`GET /v1/recordings` over HTTP: events in by the queue, answers and errors out."""

import json
import socket
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

A = "aaaaaaaa-0000-4000-8000-00000000000A"  # in the other case than the tokens have it
B = "bbbbbbbb-0000-4000-8000-00000000000b"
STRANGER = "cccccccc-0000-4000-8000-00000000000c"
TAG_1 = "11111111-0000-4000-8000-000000000001"
TAG_2 = "22222222-0000-4000-8000-000000000002"


def saved(recording_id: str, tenant: str = "acme", **content: Any) -> dict[str, Any]:
    return {
        "type": "recording.saved",
        "tenantId": tenant,
        "recordingId": recording_id,
        "version": 1,
        "occurredAt": "2026-04-25T10:30:00Z",
        "recording": {"ownerId": A} | content,
    }


FULL: dict[str, Any] = {
    "ownerId": A,
    "direction": "IN",
    "from": {"fullName": "Ada Lovelace", "phoneNumber": "+39 02 1234 5678"},
    "to": {"fullName": None, "phoneNumber": "204"},
    "date": "2026-04-25T10:24:40Z",
    "duration": 362,
    "channels": 2,
    "analysisResult": {"score": 0.8, "sentiment": "POSITIVE", "status": 2},
    "tags": [{"id": TAG_1, "value": "Complaint"}, {"id": TAG_2.upper(), "value": "Sales"}],
    "video": {"status": "OK"},
    "language": "en",
}
EVENTS = [
    saved(
        "full", **FULL, transcript=[{"speaker": "agent", "offset": 1, "text": "Refunds, please"}]
    ),
    saved(
        "b/1 \u00e9",
        ownerId=B,
        date="2026-04-26T00:00:00Z",
        analysisResult={"score": None, "sentiment": "ERROR", "status": 5},
        tags=[{"id": TAG_2, "value": "Sales"}],
        video={"status": "ERROR", "errorDetail": "no camera"},
        transcript=[{"speaker": "customer", "offset": 0, "text": "refund"}],
    ),
    saved("bare", ownerId=B),
    saved("other-tenant", tenant="globex"),
    {
        "type": "note.saved",
        "tenantId": "acme",
        "recordingId": "full",
        "noteId": "n",
        "version": 1,
        "occurredAt": "2026-04-25T10:31:00Z",
        "note": {"authorId": B, "text": "call back tomorrow", "createdAt": "2026-04-25T10:31:00Z"},
    },
    {
        "type": "group.saved",
        "tenantId": "acme",
        "groupId": "team",
        "version": 1,
        "occurredAt": "2026-04-25T10:31:00Z",
        "group": {"members": [B.upper()]},
    },
    saved("gone"),
    {
        "type": "recording.deleted",
        "tenantId": "acme",
        "recordingId": "gone",
        "version": 2,
        "occurredAt": "2026-04-25T10:32:00Z",
    },
    {
        "type": "note.saved",
        "tenantId": "acme",
        "recordingId": "not-here-yet",
        "noteId": "n",
        "version": 1,
        "occurredAt": "2026-04-25T10:31:00Z",
        "note": {"authorId": B, "text": "call back tomorrow", "createdAt": None},
    },
]


@pytest.fixture(scope="module", autouse=True)
def _filled(deployment: Any, eventually: Callable[..., Any]) -> None:
    lines = "\n".join(map(json.dumps, EVENTS))
    assert (
        deployment.run("recordings-indexer", "publish", "-", given=lines.encode()).returncode == 0
    )
    deployment.start("recordings-indexer", "worker")
    deployment.serve()
    eventually(lambda: deployment.ids() == ["b/1 \u00e9", "full", "bare"])


def test_the_answer_has_exactly_the_names_of_the_contract(deployment: Any) -> None:
    answer = deployment.get(words="refund", tel="+390212345678")
    assert answer.headers["Content-Type"].startswith("application/json")
    shown = {name: value for name, value in FULL.items() if name != "language"}
    assert answer.json() == {
        "total": 1,
        "recordings": [{"id": "full", **shown, "hasNotes": True}],
    }


def test_what_is_not_known_is_null_never_missing(deployment: Any) -> None:
    (bare,) = deployment.get(**{"from": 2}).json()["recordings"]
    assert bare == {
        "id": "bare",
        "ownerId": B,
        "direction": None,
        "from": {"fullName": None, "phoneNumber": None},
        "to": {"fullName": None, "phoneNumber": None},
        "date": None,
        "analysisResult": None,
        "channels": None,
        "duration": None,
        "tags": [],
        "video": None,
        "hasNotes": False,
    }


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        pytest.param({"words": "refund"}, ["b/1 \u00e9", "full"], id="words"),
        pytest.param({"words": '"refund"'}, ["b/1 \u00e9"], id="exact phrase"),
        pytest.param({"words": "NOT refund"}, ["bare"], id="NOT"),
        pytest.param({"words": "customer:refund"}, ["b/1 \u00e9"], id="side"),
        pytest.param({"noteswords": "back"}, ["full"], id="noteswords"),
        pytest.param({"noteswords": "NOT back"}, ["b/1 \u00e9", "bare"], id="notes without"),
        pytest.param({"sentiment": "positive"}, ["full"], id="one sentiment"),
        pytest.param({"sentiment": "Positive,ERROR"}, ["b/1 \u00e9", "full"], id="two sentiments"),
        pytest.param({"sentiment": "UNKNOWN"}, [], id="no sentiment is not UNKNOWN"),
        pytest.param({"tel": "5678"}, ["full"], id="last digits"),
        pytest.param({"tel": "204"}, ["full"], id="extension"),
        pytest.param({"tel": "04"}, [], id="half an extension"),
        pytest.param({"tel": " 390212345678"}, ["full"], id="plus not escaped"),
        pytest.param({"tel": "99999,204"}, ["full"], id="any number"),
        pytest.param(
            {"startdate": "2026-04-25", "enddate": "2026-04-25"}, ["full"], id="one whole day"
        ),
        pytest.param(
            {"startdate": "2026-04-25T10:24:40Z", "enddate": "2026-04-26T00:00Z"},
            ["full"],
            id="start inclusive, end exclusive",
        ),
        pytest.param({"startdate": "2026-04-26"}, ["b/1 \u00e9"], id="open end"),
        pytest.param({"users": A}, ["full"], id="users, bare"),
        pytest.param({"users": f"include:{A},{B}"}, ["b/1 \u00e9", "full", "bare"], id="include"),
        pytest.param({"users": f"exclude:{B.upper()}"}, ["full"], id="exclude"),
        pytest.param({"users": STRANGER}, [], id="a stranger finds nothing for an administrator"),
        pytest.param({"tagids": f"{TAG_1},{TAG_2}"}, ["b/1 \u00e9", "full"], id="any tag"),
        pytest.param({"tagids": f"all:{TAG_1},{TAG_2}"}, ["full"], id="every tag"),
        pytest.param({"quantity": 1, "from": 1}, ["full"], id="a page"),
        pytest.param({"from": 3}, [], id="beyond the last"),
        pytest.param({"from": 99_900}, [], id="the end of the window"),
        pytest.param(
            {"words": "refund", "users": B, "sentiment": "ERROR"}, ["b/1 \u00e9"], id="all"
        ),
    ],
)
def test_filters(deployment: Any, parameters: dict[str, Any], expected: list[str]) -> None:
    assert deployment.ids(**parameters) == expected


def test_the_total_is_of_all_pages(deployment: Any) -> None:
    assert deployment.total(quantity=1) == 3


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        pytest.param(
            {"role": "administrator", "user": A}, ["b/1 \u00e9", "full", "bare"], id="all"
        ),
        pytest.param({"role": "controller", "user": A}, ["b/1 \u00e9", "full", "bare"], id="too"),
        pytest.param({"role": "user", "user": A}, ["full"], id="a user sees the own"),
        pytest.param({"role": "user", "user": STRANGER}, [], id="who has none sees none"),
        pytest.param({"role": "administrator", "tenant": "globex"}, ["other-tenant"], id="tenant"),
        pytest.param({"role": "supervisor", "user": A}, ["full"], id="supervisor of nobody"),
        pytest.param(
            {"role": "supervisor", "user": A, "groups": ["no-such", "team"]},
            ["b/1 \u00e9", "full", "bare"],
            id="supervisor",
        ),
        pytest.param({"role": "user", "user": A, "groups": ["team"]}, ["full"], id="no supervisor"),
    ],
)
def test_who_sees_what(deployment: Any, who: dict[str, str], expected: list[str]) -> None:
    assert deployment.ids(**who) == expected
    assert deployment.total(**who) == len(expected)
    seen = [
        name for name in ("full", "bare", "other-tenant") if one(deployment, name, **who) == 200
    ]
    assert sorted(seen) == sorted(set(expected) - {"b/1 \u00e9"})


def one(deployment: Any, recording_id: str, **who: str) -> int:
    status: int = deployment.get(f"/v1/recordings/{recording_id}", **who).status_code
    return status


def test_one_recording_by_its_percent_encoded_id(deployment: Any) -> None:
    answer = deployment.get("/v1/recordings/b%2F1%20%C3%A9")
    assert answer.status_code == 200
    assert answer.json()["id"] == "b/1 \u00e9"
    assert answer.json()["video"] == {"status": "ERROR", "errorDetail": "no camera"}


@pytest.mark.parametrize("hidden", ["never-was", "gone", "not-here-yet", "other-tenant"])
def test_what_is_not_there_and_what_is_hidden_are_one_answer(deployment: Any, hidden: str) -> None:
    answer = deployment.get(f"/v1/recordings/{hidden}")
    body = problem(answer, 404, "not_found")
    assert body["detail"] == "there is no such recording in your sight"


@pytest.mark.parametrize("users", [B, f"include:{A},{STRANGER}"])
def test_a_user_may_not_ask_for_others(deployment: Any, users: str) -> None:
    answer = deployment.get(role="user", user=A, users=users)
    assert problem(answer, 403, "forbidden")["parameter"] == "users"


def test_a_supervisor_may_ask_for_members_only(deployment: Any) -> None:
    who = {"role": "supervisor", "user": A, "groups": ["team"]}
    assert deployment.ids(**who, users=f"{A},{B}") == ["b/1 \u00e9", "full", "bare"]
    problem(deployment.get(**who, users=f"{B},{STRANGER}"), 403, "forbidden")
    problem(deployment.get(role="supervisor", user=A, users=B), 403, "forbidden")


def test_a_change_of_membership_shows_without_touching_recordings(
    deployment: Any, eventually: Callable[..., Any]
) -> None:
    who = {"role": "supervisor", "user": A, "groups": ["changing"]}
    for version, members in enumerate([[B], [], [B]]):
        event = {
            "type": "group.saved",
            "tenantId": "acme",
            "groupId": "changing",
            "version": version,
            "occurredAt": "2026-04-25T10:31:00Z",
            "group": {"members": members},
        }
        deployment.run("recordings-indexer", "publish", "-", given=json.dumps(event).encode())
        expected = 3 if members else 1
        eventually(lambda expected=expected: deployment.total(**who) == expected)


def test_a_user_may_ask_for_himself_and_exclude_anybody(deployment: Any) -> None:
    assert deployment.ids(role="user", user=A, users=A) == ["full"]
    assert deployment.ids(role="user", user=A, users=f"exclude:{B}") == ["full"]


@pytest.mark.parametrize(
    ("query", "code", "parameter", "position"),
    [
        ("from=0", "missing_parameter", "quantity", None),
        ("quantity=1", "missing_parameter", "from", None),
        ("quantity=0&from=0", "invalid_parameter", "quantity", None),
        ("quantity=1&from=0&from=1", "repeated_parameter", "from", None),
        ("quantity=1&from=0&page=1", "unknown_parameter", "page", None),
        ("quantity=1&from=0&tel=", "invalid_parameter", "tel", None),
        ("quantity=1&from=100000", "window_exceeded", "from", None),
        ("quantity=1&from=0&words=a+AND", "invalid_query", "words", 5),
        ("quantity=1&from=0&noteswords=%22a", "invalid_query", "noteswords", 0),
        ("quantity=1&from=0&words=...", "invalid_query", "words", 0),
        ("quantity=1&from=0&enddate=2026-01-01", "invalid_parameter", "startdate", None),
    ],
)
def test_a_wrong_request(
    deployment: Any, query: str, code: str, parameter: str, position: int | None
) -> None:
    authorization = deployment.get().request.headers["Authorization"]
    answer = deployment.get(f"/v1/recordings?{query}", headers={"Authorization": authorization})
    body = problem(answer, 400, code)
    assert body["parameter"] == parameter
    assert body.get("position") == position


def test_a_thousand_users_fit_into_one_request(deployment: Any) -> None:
    users = ",".join([f"{n:08x}-0000-4000-8000-000000000000" for n in range(999)] + [A])
    assert deployment.ids(users=f"include:{users}") == ["full"]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(None, id="no token"),
        pytest.param({"exp": int(time.time()) - 3600}, id="expired"),
        pytest.param({"iss": "somebody"}, id="another issuer"),
        pytest.param({"aud": "others"}, id="another audience"),
    ],
)
def test_a_bad_token(
    deployment: Any, make_token: Callable[..., str], changes: dict[str, Any] | None
) -> None:
    headers = {}
    if changes is not None:
        headers["Authorization"] = f"Bearer {make_token(A, 'administrator', 'acme', **changes)}"
    answer = deployment.get(headers=headers)
    problem(answer, 401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(("role", "tenant"), [("janitor", "acme"), (None, "acme"), ("user", None)])
def test_a_good_token_without_a_role_or_tenant(
    deployment: Any, make_token: Callable[..., str], role: str | None, tenant: str | None
) -> None:
    headers = {"Authorization": f"Bearer {make_token(A, role, tenant)}"}
    problem(deployment.get(headers=headers), 403, "forbidden")


def test_unknown_paths_and_methods(deployment: Any) -> None:
    problem(deployment.get("/v2/recordings"), 404, "not_found")
    problem(deployment.get("/"), 404, "not_found")


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"GARBAGE\r\n\r\n", id="no HTTP"),
        pytest.param(b"GET /v1/recordings?" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", id="long line"),
        pytest.param(b"GET / HTTP/1.1\r\nX-A: " + b"x" * 20_000 + b"\r\n\r\n", id="long header"),
    ],
)
def test_what_is_no_request_is_a_problem_too(deployment: Any, sent: bytes) -> None:
    address = urlsplit(deployment.base)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as raw:
        raw.sendall(sent)
        head, body = b"".join(iter(lambda: raw.recv(65_536), b"")).split(b"\r\n\r\n")
    assert b" 400 " in head.splitlines()[0]
    assert b"application/problem+json" in head
    answer = json.loads(body)
    assert (answer["code"], answer["status"]) == ("bad_request", 400)
    assert answer["requestId"].encode() in head
    assert b"xxx" not in body


def test_a_base_path_stands_before_the_endpoint_alone(make_deployment: Any) -> None:
    with make_deployment() as deployment:
        deployment.serve(RECORDINGS_API_BASE_PATH="/voice-analytics")
        authorization = deployment.get().request.headers["Authorization"]
        headers = {"Authorization": authorization}
        base = "/voice-analytics/v1/recordings"
        assert deployment.get(f"{base}?quantity=1&from=0", headers=headers).status_code == 200
        problem(deployment.get(f"{base}/x", headers=headers), 404, "not_found")
        problem(deployment.get("/v1/recordings"), 404, "not_found")
        assert deployment.get("/readyz", headers={}).status_code == 200


def test_the_request_id_is_the_callers_when_it_is_plain(deployment: Any) -> None:
    def echoed(given: str) -> str:
        answer = deployment.get("/healthz", headers={"X-Request-ID": given})
        header: str = answer.headers["X-Request-ID"]
        return header

    assert echoed("abc-123") == "abc-123"
    assert echoed("a b") != "a b"
    assert len(echoed("x" * 129)) == 32


def test_health_readiness_and_metrics(deployment: Any) -> None:
    assert deployment.get("/healthz", headers={}).json() == {"status": "ok"}
    assert deployment.get("/readyz", headers={}).json() == {"status": "ready"}
    metrics = deployment.get("/metrics", headers={}).text
    assert 'recordings_api_request_seconds_count{route="/v1/recordings",status="200"}' in metrics
    assert "full" not in metrics


def problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The body of a problem, checked against RFC 9457 and the contract."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    body: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail", "code", "requestId"} <= set(body)
    assert set(body) <= {
        *("type", "title", "status", "detail", "code", "requestId"),
        *("parameter", "position"),
    }
    assert (body["status"], body["code"]) == (status, code)
    assert body["requestId"] == answer.headers["X-Request-ID"]
    return body
