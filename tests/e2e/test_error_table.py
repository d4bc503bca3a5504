"""The table of wrong requests in api/README.md is what the service answers."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

TABLE = Path("api/README.md")
USER = "1efc024d-0000-4000-8000-00000000000a"
ROWS = 20


@pytest.fixture(scope="module", autouse=True)
def _served(deployment: Any) -> None:
    deployment.serve()


def written() -> list[list[str]]:
    """The cells of each row: caller, request, status, code, parameter, position, detail."""
    lines = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if "| `GET " in line]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


@pytest.mark.parametrize("row", written(), ids=lambda row: f"{row[0]}: {row[1]}")
def test_the_row_is_the_answer(
    deployment: Any, make_token: Callable[..., str], row: list[str]
) -> None:
    caller, request, *_ = row
    answer = ask(deployment.base, request.strip("`"), headers_of(caller, make_token))
    assert row == [caller, request, *cells(answer)]


def test_there_are_enough_of_them() -> None:
    rows = written()
    assert len(rows) >= ROWS
    assert len({row[1] for row in rows}) >= ROWS


def headers_of(caller: str, make_token: Callable[..., str]) -> dict[str, str]:
    """What each caller of the table sends."""
    match caller:
        case "nobody":
            return {}
        case "expired":
            token = make_token(USER, "user", "acme", exp=int(time.time()) - 3600)
        case "without a role":
            token = make_token(USER, None, "acme")
        case role:
            token = make_token(USER, role, "acme")
    return {"Authorization": f"Bearer {token}"}


def ask(base: str, request: str, headers: dict[str, str]) -> requests.Response:
    """The request as the table writes it: for people, so not yet percent-encoded."""
    path, mark, query = request.removeprefix("GET ").replace("\\|", "|").partition("?")
    return requests.get(f"{base}{path}{mark}{quote(query, '=&')}", headers=headers, timeout=60)


def cells(answer: requests.Response) -> list[str]:
    problem = answer.json()
    place = [str(problem.get(name, "")) for name in ("parameter", "position")]
    return [str(problem["status"]), problem["code"], *place, problem["detail"].replace("|", "\\|")]
