"""One conversation: a scenario's steps and the facts of the call in, timed turns out.

All facts of a call are drawn once, before the first word: whatever is said twice is said the same.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal

from deploy.local.demo_data.people import USERS, Customer, User, national
from deploy.local.demo_data.phrases import Line, fill, phrases, spoken_date, spoken_money, variants

Outcome = Literal["good", "pending", "bad"]
Turn = dict[str, Any]


@dataclass(frozen=True)
class Scenario:
    """What may happen in a call about this: `pending`, it ends without a decision; `identify`, the
    caller must say who he or she is; `look_up`, the agent has to look something up."""

    tag: str
    weight: int
    directions: tuple[str, ...] = ("IN", "OUT")
    pending: bool = True
    identify: bool = True
    look_up: bool = True


SCENARIOS = {
    "invoice": Scenario("Billing", 12),
    "delivery": Scenario("Delivery", 12),
    "refund": Scenario("Refund", 9),
    "cancel": Scenario("Cancellation", 8),
    "internet": Scenario("Technical Fault", 12),
    "appointment": Scenario("Appointment", 9, pending=False),
    "card": Scenario("Lost Card", 6, ("IN",), pending=False),
    "accident": Scenario("Insurance Claim", 7),
    "offer": Scenario("Sales", 9, pending=False, identify=False),
    "complaint": Scenario("Customer Complaint", 7),
    "address": Scenario("Address Change", 6, pending=False),
    "followup": Scenario("Follow-up", 9, ("OUT",), pending=False, identify=False, look_up=False),
}
_CHARACTERS_A_SECOND = 14.0


@dataclass(frozen=True)
class Occasion:
    """What a call is about and between whom; `direction` IN or OUT, `at` in UTC."""

    scenario: str
    direction: str
    agent: User
    customer: Customer
    at: datetime


@dataclass(frozen=True)
class Talk:
    """A finished conversation; `duration` in seconds, `note` is what the agent writes down."""

    scenario: str
    outcome: Outcome
    slots: dict[str, str]
    turns: list[Turn]
    duration: int
    note: str


@dataclass
class _Script:
    """The lines of one call as they are put together, for one pair of speakers."""

    rng: random.Random
    known: dict[str, Any]
    lines: list[Line]

    def add(self, block: str) -> int:
        """Appends a variant of `block`; returns which."""
        options = variants(block)
        index = self.rng.randrange(len(options))
        self.lines.extend(options[index])
        return index

    def maybe(self, chance: float, block: str) -> None:
        if self.rng.random() < chance:
            self.add(block)


def make_talk(rng: random.Random, occasion: Occasion) -> Talk:
    """A conversation of about 6 to 25 turns, a few of them much longer."""
    scenario, agent, customer = occasion.scenario, occasion.agent, occasion.customer
    known = phrases(agent.language)
    slots = _facts(rng, known, occasion)
    outcome = _outcome(rng, scenario)
    script = _Script(rng, known, [])
    note = _write(script, occasion, outcome)
    turns = list(_timed(rng, _merged(_spoken(script, slots, agent, customer))))
    end = turns[-1]["offset"] + len(turns[-1]["text"]) / _CHARACTERS_A_SECOND
    written = fill(rng, note, slots, customer.gender, agent.gender)
    return Talk(scenario, outcome, slots, turns, int(end) + rng.randint(1, 4), written)


def _write(script: _Script, occasion: Occasion, outcome: Outcome) -> str:
    """Puts the steps of the call together; returns the note that belongs to its result."""
    rng, scenario, allowed = script.rng, occasion.scenario, SCENARIOS[occasion.scenario]
    common, topic = script.known["common"], script.known[scenario]
    long = allowed.identify and rng.random() < 0.03
    _open(script, scenario, occasion.direction, long)
    if allowed.identify:
        _identify(script, 3 if long else rng.choice((0, 1, 1, 1, 2)))
    _details(script, scenario, 3 if long else rng.choice((0, 1, 1, 2, 2, 2, 3)))
    if allowed.look_up:
        script.maybe(1.0 if long else 0.35, common["hold"])
        script.maybe(1.0 if long else 0.02, common["transfer"])
    if outcome == "pending":
        note = common["note_pending"][script.add(common["pending"])]
    else:
        note = topic[f"note_{outcome}"][script.add(topic[outcome])]
    if long and outcome != "bad" and scenario not in ("address", "appointment"):
        _one_more_thing(script)
    if allowed.look_up and outcome != "bad":
        script.maybe(1.0 if long else 0.3, common["contact"])
    script.add(common[f"close_{outcome}"])
    return str(note)


def _outcome(rng: random.Random, scenario: str) -> Outcome:
    bad = 40 if scenario == "complaint" else 25
    pending = 25 if SCENARIOS[scenario].pending else 0
    options: tuple[Outcome, ...] = ("good", "pending", "bad")
    return rng.choices(options, (100 - bad - pending, pending, bad))[0]


def _open(script: _Script, scenario: str, direction: str, long: bool) -> None:
    common, topic = script.known["common"], script.known[scenario]
    if direction == "OUT":
        script.add(common["outbound"])
        if scenario != "followup":
            script.add(common["callback"])
        script.add(topic["reason"])
        return
    script.maybe(1.0 if long else 0.1, common["ivr"])
    script.add(common["greeting"])
    script.lines.append(Line("customer", False, script.rng.choice(common["lead"])))
    script.add(topic["reason"])


def _identify(script: _Script, times: int) -> None:
    options = variants(script.known["common"]["ident"])
    for lines in script.rng.sample(options, times):
        script.lines.extend(lines)


def _details(script: _Script, scenario: str, times: int) -> None:
    steps = script.known[scenario]["details"]
    for index in sorted(script.rng.sample(range(len(steps)), min(times, len(steps)))):
        script.add(steps[index])


def _one_more_thing(script: _Script) -> None:
    script.add(script.known["common"]["more"])
    script.add(script.known["address"]["reason"])
    _details(script, "address", 3)
    script.add(script.known["address"]["good"])


def _spoken(
    script: _Script, slots: dict[str, str], agent: User, customer: Customer
) -> Iterator[Line]:
    for line in script.lines:
        pair = (agent.gender, customer.gender)
        speaker, other = pair[::-1] if line.speaker == "customer" else pair
        if line.speaker == "other":
            other = customer.gender
        yield line._replace(text=fill(script.rng, line.text, slots, speaker, other))


def _merged(lines: Iterator[Line]) -> list[Line]:
    """One turn per change of speaker, as transcriptions have it; a wait starts a new turn."""
    merged: list[Line] = []
    for line in lines:
        if merged and merged[-1].speaker == line.speaker and not line.after_wait:
            merged[-1] = merged[-1]._replace(text=f"{merged[-1].text} {line.text}")
        else:
            merged.append(line)
    return merged


def _timed(rng: random.Random, lines: list[Line]) -> Iterator[Turn]:
    at = rng.uniform(0.2, 2.5)
    for line in lines:
        at += rng.uniform(15, 80) if line.after_wait else 0
        yield {"speaker": line.speaker, "offset": round(at, 1), "text": line.text}
        at += len(line.text) / _CHARACTERS_A_SECOND + rng.uniform(0.3, 1.8)


def _facts(rng: random.Random, known: dict[str, Any], occasion: Occasion) -> dict[str, str]:
    scenario, agent, customer = occasion.scenario, occasion.agent, occasion.customer
    # In local time that is 12 to 14 o'clock.
    hello = known["hello"][occasion.at.hour >= 12]
    colleagues = [user for user in USERS if user.language == agent.language and user != agent]
    drawn = {slot: rng.choice(known[f"{slot}s"]) for slot in ("product", "plan", "time")}
    return {
        **drawn,
        **_days(rng, occasion.at.date(), customer),
        **_amounts(rng, agent.language),
        "hello": hello,
        "hello_low": hello[0].lower() + hello[1:],
        "desk": known[scenario]["desk"],
        "topic": known[scenario]["topic"],
        "subject": known[scenario]["subject"],
        "agent": agent.name,
        "agent_first": agent.name.split()[0],
        "colleague": rng.choice(colleagues).name,
        "customer": customer.name,
        "family": customer.family,
        "title": known["titles"][customer.gender],
        "phone": national(customer),
        "email": customer.email,
        "account": customer.account,
        "street": customer.street,
        "city": customer.city,
        "new_street": rng.choice(
            [street for street in known["streets"] if street != customer.street]
        ),
        "new_city": rng.choice(known["cities"]),
        "number": str(rng.randrange(200_000, 999_999)),
        "case": str(rng.randrange(20_000, 99_999)),
        "meter": str(rng.randrange(1_000, 90_000)),
    }


def _amounts(rng: random.Random, language: str) -> dict[str, str]:
    # Never 8, 11 or 80 to 89: Italian would say "gli", where the phrases have "i".
    less, diff = rng.randrange(9_500, 34_000, 10), rng.randrange(1_500, 4_000, 50)
    return {
        "amount": spoken_money(language, less + diff),
        "less": spoken_money(language, less),
        "diff": spoken_money(language, diff),
        "price": spoken_money(language, rng.choice((2490, 2990, 3490, 3990))),
    }


def _days(rng: random.Random, call: date, customer: Customer) -> dict[str, str]:
    language = customer.language
    past = _working_day(call - timedelta(rng.randint(4, 25)), -1)
    promised = _working_day(call + timedelta(rng.randint(2, 9)), 1)
    visit = _working_day(promised + timedelta(rng.randint(1, 5)), 1)
    born = _working_day(date(customer.birth_year, 1, 1) + timedelta(int(customer.account) % 360), 1)
    return {
        "day": spoken_date(language, past, "date"),
        "day2": spoken_date(language, promised, "date"),
        "visit": spoken_date(language, visit, "visit"),
        "birth": spoken_date(language, born, "full_date"),
    }


def _working_day(day: date, step: int) -> date:
    """The next working day that Italian and French say without an irregular article or numeral."""
    while day.weekday() > 4 or day.day in (1, 8, 11):
        day += timedelta(step)
    return day
