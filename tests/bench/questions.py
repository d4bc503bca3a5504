"""The mix of searches: twelve kinds, each with a name in words, about what the data holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

from services.acl import Principal, Role
from tests.bench.conversations import Event
from tests.bench.population import owner

QUANTITY: Final = 20
PAGE: Final = 50  # far into what is found


@dataclass(frozen=True, slots=True)
class Question:
    """One search: the parameters of `GET /v1/recordings`, and who asks."""

    name: str
    parameters: Mapping[str, str]
    principal: Principal

    @property
    def target(self) -> str:
        """Path and query string."""
        return f"/v1/recordings?{urlencode(self.parameters, quote_via=quote)}"


def mix(recordings: Sequence[Event]) -> list[Question]:
    """The twelve. Number and tag are those of the first recording that has both."""
    known = next(event for event in recordings if event["recording"]["tags"])
    tenant, recording = known["tenantId"], known["recording"]
    everything = Principal(tenant, owner(0), Role.ADMINISTRATOR)
    own = Principal(tenant, recording["ownerId"], Role.USER)
    asked: list[tuple[str, dict[str, str], Principal]] = [
        ("no filter", {}, everything),
        ("words", {"words": "phone number"}, everything),
        ("phrase", {"words": '"thank you"'}, everything),
        ("prefix", {"words": "appoint*"}, everything),
        ("NOT", {"words": "please NOT order"}, everything),
        ("dates", {"startdate": "2025-03-01", "enddate": "2025-03-31"}, everything),
        ("sentiment", {"sentiment": "NEGATIVE,NEUTRAL"}, everything),
        ("tel", {"tel": recording["from"]["phoneNumber"]}, everything),
        ("tags", {"tagids": recording["tags"][0]["id"]}, everything),
        ("users", {"users": f"include:{owner(1)},{owner(2)},{owner(3)}"}, everything),
        ("standard user", {}, own),
        (f"page {PAGE}", {"from": str(PAGE * QUANTITY)}, everything),
    ]
    page = {"quantity": str(QUANTITY), "from": "0"}
    return [Question(name, page | filters, who) for name, filters, who in asked]
