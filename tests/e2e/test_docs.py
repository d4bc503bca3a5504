"""`/docs` in a real browser without a network: it reads the document and calls the endpoint."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

USER = "aaaaaaaa-0000-4000-8000-00000000000a"
EVENT = {
    "type": "recording.saved",
    "tenantId": "acme",
    "recordingId": "r/1 <b>é</b>",
    "version": 1,
    "occurredAt": "2026-04-25T10:30:00Z",
    "recording": {
        "ownerId": USER,
        "direction": "IN",
        "language": "en",
        "transcript": [
            {"speaker": "agent", "offset": 1, "text": "Refunds <img src=x onerror=f()>"}
        ],
    },
}
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    # No name is found and no other address reached.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs:
        text = "no Chromium on this machine (Debian: apt-get install chromium chromium-driver)"
        assert os.environ.get("CI") != "true", text
        pytest.skip(text)
    options = webdriver.ChromeOptions()
    options.binary_location = str(programs[0])
    for argument in (*ARGUMENTS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=str(programs[1]))
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


@pytest.fixture(scope="module", autouse=True)
def _served(deployment: Any, eventually: Callable[..., Any]) -> None:
    given = json.dumps(EVENT).encode()
    assert deployment.run("recordings-indexer", "publish", "-", given=given).returncode == 0
    deployment.start("recordings-indexer", "worker")
    deployment.serve()
    eventually(lambda: deployment.total() == 1)


@pytest.fixture
def page(browser: WebDriver, deployment: Any, eventually: Callable[..., Any]) -> WebDriver:
    browser.get(f"{deployment.base}/docs")
    eventually(lambda: browser.find_elements(By.ID, "parameter-quantity"))
    return browser


@pytest.fixture
def send(page: WebDriver, eventually: Callable[..., Any]) -> Callable[..., tuple[str, Any]]:
    """Fill in the form and send it; returns the status line and the answer."""

    def fill_and_send(token: str, **values: str) -> tuple[str, Any]:
        field = page.find_element(By.ID, "token")
        field.clear()
        field.send_keys(token)
        for name, value in values.items():
            fill(page, f"parameter-{name}", value)
        page.find_element(By.ID, "send").click()
        status = page.find_element(By.ID, "status")
        eventually(lambda: status.text not in ("", "…"))
        return status.text, json.loads(page.find_element(By.ID, "answer").text)

    return fill_and_send


def fill(page: WebDriver, identity: str, value: str) -> None:
    field = page.find_element(By.ID, identity)
    if field.tag_name == "select":
        for item in value.split(","):
            Select(field).select_by_value(item)
    else:
        field.send_keys(value)


def test_the_page_calls_the_endpoint(
    send: Callable[..., tuple[str, Any]], deployment: Any, make_token: Callable[..., str]
) -> None:
    values = {
        "quantity": "10",
        "from": "0",
        "words": '"refunds" agent:ref*',
        "direction": "IN,OUT",
        "highlight": "true",
        "facets": "sentiment,day",
    }
    status, answer = send(make_token(USER, "administrator", "acme"), **values)
    assert status == "200 OK"
    assert answer["total"] == 1
    assert answer["recordings"][0]["id"] == EVENT["recordingId"]
    assert answer == deployment.get(**values).json()


def test_an_error_is_shown(
    send: Callable[..., tuple[str, Any]], make_token: Callable[..., str]
) -> None:
    token = make_token(USER, "user", "acme")
    status, answer = send(token, quantity="10", words="a AND", **{"from": "0"})
    assert status == "400 Bad Request"
    assert (answer["parameter"], answer["position"]) == ("words", 5)


def test_without_a_token(send: Callable[..., tuple[str, Any]]) -> None:
    status, answer = send("", quantity="10", **{"from": "0"})
    assert (status, answer["code"]) == ("401 Unauthorized", "unauthorized")


def test_a_single_recording(
    page: WebDriver, send: Callable[..., tuple[str, Any]], make_token: Callable[..., str]
) -> None:
    Select(page.find_element(By.ID, "operation")).select_by_visible_text("GET /v1/recordings/{id}")
    status, answer = send(make_token(USER, "user", "acme"), id=EVENT["recordingId"])
    assert (status, answer["id"]) == ("200 OK", EVENT["recordingId"])


def test_every_parameter_and_schema_is_on_the_page(page: WebDriver, deployment: Any) -> None:
    document = deployment.get("/openapi.json").json()
    for parameter in document["paths"]["/v1/recordings"]["get"]["parameters"]:
        assert page.find_elements(By.ID, f"parameter-{parameter['name']}"), parameter["name"]
        assert (
            parameter["description"].replace("`", "") in page.find_element(By.ID, "parameters").text
        )
    summaries = page.find_elements(By.CSS_SELECTOR, "#schemas summary")
    assert [summary.text for summary in summaries] == list(document["components"]["schemas"])


def test_nothing_comes_from_elsewhere_and_nothing_is_refused(
    page: WebDriver, send: Callable[..., tuple[str, Any]], deployment: Any
) -> None:
    complaints_of(page)  # those before are forgotten
    send("", quantity="10", **{"from": "0"})
    script = "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    names = page.execute_script(script)
    assert len(names) == 2
    assert all(name.startswith(deployment.base) for name in names)
    complaints = complaints_of(page)
    assert len(complaints) == 1, complaints
    assert "401" in complaints[0]


def complaints_of(page: WebDriver) -> list[str]:
    """What the browser's console has told since it was last asked."""
    log: list[dict[str, str]] = page.get_log("browser")  # type: ignore[no-untyped-call]
    return [entry["message"] for entry in log]


def test_the_page_is_one_file_that_names_no_other_address(deployment: Any) -> None:
    answer = deployment.get("/docs")
    assert "http:" not in answer.text
    assert "https:" not in answer.text
    assert "'unsafe-inline'" not in answer.headers["Content-Security-Policy"]
    assert answer.text == Path("api/docs.html").read_text(encoding="utf-8")


def test_the_document_is_that_of_the_command(deployment: Any) -> None:
    printed = deployment.run("recordings-api", "openapi", RECORDINGS_API_MAX_QUANTITY="7")
    document = json.loads(printed.stdout)
    served = deployment.get("/openapi.json").json()
    quantity = document["paths"]["/v1/recordings"]["get"]["parameters"][0]["schema"]
    assert quantity["maximum"] == 7
    quantity["maximum"] = 1000
    assert document == served


def test_the_document_names_the_base_path(deployment: Any) -> None:
    printed = deployment.run(
        "recordings-api", "openapi", RECORDINGS_API_BASE_PATH="/voice-analytics"
    )
    assert list(json.loads(printed.stdout)["paths"])[:2] == [
        "/voice-analytics/v1/recordings",
        "/voice-analytics/v1/recordings/{id}",
    ]
