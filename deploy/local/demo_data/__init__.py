"""Invented call recordings for the demo: phrases and people in, change events out.

`phrases` (one TOML file a language) and `people` feed `talks` (one whole conversation), and
`events` turns conversations into the history that the product would send, late and repeated events
included. Nothing depends on the clock: the same seed gives the same events.
"""

from deploy.local.demo_data.events import demo_events
from deploy.local.demo_data.people import STANDARD_USER, TAGS, TENANT, USERS, Tag, User

__all__ = ["STANDARD_USER", "TAGS", "TENANT", "USERS", "Tag", "User", "demo_events"]
