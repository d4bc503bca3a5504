"""The OpenAPI document: all parameters and statuses are in it, and what it says is accepted."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from api.openapi import document
from api.parameters import ListParameters
from api.query_string import read
from api.values import Limits
from services.settings import ApiSettings

DOCUMENT = document(ApiSettings())
LIST: dict[str, Any] = DOCUMENT["paths"]["/v1/recordings"]["get"]
PARAMETERS = {parameter["name"]: parameter for parameter in LIST["parameters"]}
TOGETHER = {"enddate": {"startdate": "2021-04-25"}}


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from [part["$ref"]] if "$ref" in part else []
        part = list(part.values())
    if isinstance(part, list):
        for item in part:
            yield from references(item)


def test_the_parameters_are_the_fields_of_the_model() -> None:
    fields = ListParameters.model_fields
    assert list(PARAMETERS) == [field.alias or name for name, field in fields.items()]
    required = {name for name, parameter in PARAMETERS.items() if parameter["required"]}
    assert required == {"quantity", "from"}


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_examples_of_a_parameter_are_accepted(name: str) -> None:
    assert PARAMETERS[name]["description"]
    for example in PARAMETERS[name]["schema"].get("examples", []):
        value = ",".join(example) if isinstance(example, list) else example
        text = str(value).lower() if isinstance(value, bool) else value
        given = {"quantity": 1, "from": 0} | TOGETHER.get(name, {}) | {name: text}
        read(urlencode(given), Limits(1000, None))


@pytest.mark.parametrize("path", DOCUMENT["paths"])
def test_every_answer_has_a_schema_and_the_id_of_the_request(path: str) -> None:
    for status, response in DOCUMENT["paths"][path]["get"]["responses"].items():
        (media_type,) = response["content"]
        assert media_type == f"application/{'json' if status == '200' else 'problem+json'}"
        assert "X-Request-ID" in response["headers"]


def test_the_statuses_of_the_contract() -> None:
    assert set(LIST["responses"]) == {"200", "400", "401", "403", "500", "503"}
    one = DOCUMENT["paths"]["/v1/recordings/{id}"]["get"]["responses"]
    assert set(one) == {"200", "400", "401", "403", "404", "500", "503"}
    assert "WWW-Authenticate" in LIST["responses"]["401"]["headers"]
    assert "Retry-After" in LIST["responses"]["503"]["headers"]


def test_what_is_referred_to_is_there() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    found = set(references(DOCUMENT))
    assert found
    assert {reference.rpartition("/")[2] for reference in found} <= set(schemas)


def test_it_has_the_largest_page_and_the_path_of_the_deployment() -> None:
    other = document(ApiSettings(max_quantity=7, base_path="/voice"))
    (quantity, *_) = other["paths"]["/voice/v1/recordings"]["get"]["parameters"]
    assert quantity["schema"]["maximum"] == 7
