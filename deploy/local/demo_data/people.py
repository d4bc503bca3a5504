"""Who calls whom in the demo: the tenant, its tags and agents, and customers made on demand.

Tenant, tags, users and teams are the same for every seed, so that a command in the documentation
can name them.
"""

import random
import unicodedata
from dataclasses import dataclass
from uuid import UUID

import phonenumbers

from deploy.local.demo_data.phrases import LANGUAGES, Gender, phrases

TENANT = "acme"
_TAG_VALUES = (
    "Billing",
    "Delivery",
    "Refund",
    "Cancellation",
    "Technical Fault",
    "Appointment",
    "Lost Card",
    "Insurance Claim",
    "Sales",
    "Customer Complaint",
    "Address Change",
    "Follow-up",
)
_FORMATS = (phonenumbers.PhoneNumberFormat.INTERNATIONAL, phonenumbers.PhoneNumberFormat.NATIONAL)


@dataclass(frozen=True)
class Tag:
    id: str
    value: str


@dataclass(frozen=True)
class Person:
    """Someone on the telephone; `phone` is E.164."""

    name: str
    gender: Gender
    language: str
    phone: str

    @property
    def family(self) -> str:
        return self.name.split()[-1]


@dataclass(frozen=True)
class User(Person):
    """An agent; `extension` is the internal number."""

    id: str
    extension: str


@dataclass(frozen=True)
class Customer(Person):
    email: str
    account: str
    birth_year: int
    street: str
    city: str


def seeded(seed: int | str) -> random.Random:
    """The generator of the demo: the same for the same seed; nothing here is a secret."""
    return random.Random(seed)  # noqa: S311


def guid(rng: random.Random) -> str:
    """A GUID of the shape of version 4, drawn from `rng`."""
    return str(UUID(int=rng.getrandbits(128), version=4))


def _number(language: str, serial: int) -> str:
    """The serial-th number of the language's ranges: none twice until a range is used up."""
    patterns = phrases(language)["phones"]
    pattern = patterns[serial % len(patterns)].replace(" ", "")
    places = pattern.count("#")
    # 7919 shares no divisor with 10: a walk through the whole range in no visible order.
    digits = str((serial // len(patterns) * 7919 + 137) % 10**places).zfill(places)
    return str(pattern[: len(pattern) - places] + digits)


def _users() -> tuple[User, ...]:
    rng = seeded("users")
    found: list[User] = []
    for language in LANGUAGES:
        for serial, (name, gender) in enumerate(phrases(language)["agents"]):
            number, extension = _number(language, serial), str(201 + len(found))
            found.append(User(name, gender, language, number, guid(rng), extension))
    return tuple(found)


def _tags() -> dict[str, Tag]:
    rng = seeded("tags")
    return {value: Tag(guid(rng), value) for value in _TAG_VALUES}


TAGS = _tags()
USERS = _users()
STANDARD_USER = USERS[0]


def new_customer(rng: random.Random, language: str, serial: int) -> Customer:
    """A customer; `serial` counts those of the language, and makes the number."""
    known = phrases(language)
    gender: Gender = rng.choice(("f", "m"))
    given, family = rng.choice(known["names"][gender]), rng.choice(known["names"]["family"])
    number = _number(language, serial + len(known["agents"]))
    return Customer(
        name=f"{given} {family}",
        gender=gender,
        language=language,
        phone=number,
        email=f"{_ascii(given)}.{_ascii(family)}@{rng.choice(('example.com', 'example.org'))}",
        account=str(rng.randrange(2_000_000, 9_999_999)),
        birth_year=rng.randrange(1944, 2003),
        street=rng.choice(known["streets"]),
        city=rng.choice(known["cities"]),
    )


def _ascii(name: str) -> str:
    for letter, spelling in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss")):
        name = name.lower().replace(letter, spelling)
    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()


def national(person: Person) -> str:
    """The number as one reads it aloud."""
    parsed = phonenumbers.parse(person.phone)
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)


def as_recorded(rng: random.Random, person: Person) -> str:
    """The number as a telephone system wrote it down: mostly E.164."""
    if rng.random() < 0.85:
        return person.phone
    return phonenumbers.format_number(phonenumbers.parse(person.phone), rng.choice(_FORMATS))
