"""From the query string of a request to `ListParameters`, or to one clear error.

Each parameter may stand once and must not be empty (an empty `cursor` starts a walk); an unknown
one is an error. The first problem found is raised as CallerError with the parameter's name, and for
a syntax error its position.
"""

import re
from typing import Final, get_args
from urllib.parse import parse_qsl

from pydantic import ValidationError as PydanticError
from pydantic_core import ErrorDetails

from api.parameters import ListParameters, Sort
from api.values import Limits
from services.errors import CallerError

_NOT_UTF_8: Final = re.compile("[\ud800-\udfff]")


def read(query_string: str, limits: Limits) -> ListParameters:
    """The parameters in this raw query string. Raises CallerError."""
    given = _single_values(query_string)
    try:
        return ListParameters.model_validate(given, context={"limits": limits})
    except PydanticError as error:
        raise _as_caller_error(error.errors(include_url=False, include_input=False)[0]) from None


def refuse_all(query_string: str) -> None:
    """Where no parameter is known. Raises CallerError for the first."""
    for name in _single_values(query_string):
        raise CallerError("unknown_parameter", f"{name} is not a parameter here", parameter=name)


def _single_values(query_string: str) -> dict[str, str]:
    given: dict[str, str] = {}
    # Bytes that are not UTF-8 become halves of surrogate pairs, which no UTF-8 has.
    for name, value in parse_qsl(query_string, keep_blank_values=True, errors="surrogateescape"):
        if _NOT_UTF_8.search(name):
            raise CallerError("invalid_parameter", "the query string is not UTF-8")
        if name in given:
            raise CallerError("repeated_parameter", f"{name} may be given once", parameter=name)
        _refuse_what_is_no_value(name, value)
        given[name] = value
    return given


def _refuse_what_is_no_value(name: str, value: str) -> None:
    if broken := _NOT_UTF_8.search(value):
        raise CallerError(
            "invalid_parameter",
            f"{name} is not UTF-8 (at character {broken.start()})",
            parameter=name,
            position=broken.start(),
        )
    if not value.strip() and not (name == "cursor" and value == ""):
        # Of a query an empty one is a matter of syntax, which has a place.
        position = 0 if name in ("words", "noteswords") else None
        detail = f"{name} must not be empty"
        raise CallerError("invalid_parameter", detail, parameter=name, position=position)


def _as_caller_error(first: ErrorDetails) -> CallerError:
    context = first.get("ctx", {})
    name = str(context.get("parameter") or first["loc"][0])
    match first["type"]:
        case "missing":
            return CallerError("missing_parameter", f"{name} is required", parameter=name)
        case "extra_forbidden":
            return CallerError("unknown_parameter", f"{name} is not a parameter", parameter=name)
        case "literal_error":
            detail = f"{name} must be one of {', '.join(get_args(Sort))}"
            return CallerError("invalid_parameter", detail, parameter=name)
        case "string_too_long":
            return CallerError("invalid_parameter", f"{name} is too long", parameter=name)
        case "invalid_query":
            detail = f"{name}: {first['msg']} (at character {context['position']})"
            return CallerError(
                "invalid_query", detail, parameter=name, position=context["position"]
            )
        case code:
            return CallerError(code, f"{name} {first['msg']}", parameter=name)
