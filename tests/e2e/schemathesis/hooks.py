"""What no JSON Schema can say, for `st run`: a case that should be accepted is made to keep to it.

The rules are those of the contract: what a query is, and how parameters go together. Cases that
should be refused stay as they are.
"""

import random
from typing import Any

import schemathesis
from schemathesis import Case, GenerationMode, HookContext

WORDS = [
    "a",
    "refund* AND NOT invoice",
    '"date of birth"~3 OR (agent:hello -customer:"thank you")',
    "NOT (a OR NOT b)",
    "l'appel 退款 😀 12.50 jane.doe@example.com",
    "e-mai* " * 32,
    "((((((((x))))))))",
]
NOTES_WORDS = [query for query in WORDS if "agent:" not in query]
WINDOW = 100_000


@schemathesis.hook
def map_case(_: HookContext, case: Case[Any]) -> Case[Any]:
    """A case that should be accepted, made to be so."""
    if case.meta and case.meta.generation.mode is GenerationMode.POSITIVE and case.query:
        keep_to_the_rules(case.query, random.Random(repr(sorted(case.query.items()))))
    return case


def keep_to_the_rules(query: dict[str, Any], chance: random.Random) -> None:
    for name, values in {"words": WORDS, "noteswords": NOTES_WORDS}.items():
        if name in query:
            query[name] = chance.choice(values).strip()
    if "cursor" in query:
        query |= {"cursor": "", "from": 0}
    if number(query.get("from")) + number(query.get("quantity")) > WINDOW:
        query["from"] = 0
    if "enddate" in query:
        query |= {"startdate": "2021-04-25", "enddate": "2021-04-25T10:24:40+02:00"}
    if "maxduration" in query and number(query.get("minduration")) > number(query["maxduration"]):
        del query["minduration"]


def number(value: Any) -> float:
    return float(value or 0)
