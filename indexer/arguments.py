"""What the operator's commands accept as text and as times."""

from typing import Final

import typer

from services import instants

LONGEST: Final = 600


def text(value: str) -> str:
    """Raises BadParameter for nothing, for too much, and for what was not UTF-8."""
    # Python hands on other bytes as halves of surrogate pairs.
    is_utf8 = not any("\ud800" <= character <= "\udfff" for character in value)
    if not value or len(value) > LONGEST or not is_utf8:
        raise typer.BadParameter(f"must be text of 1 to {LONGEST} characters")
    return value


def instant(value: str) -> instants.Instant:
    """Raises BadParameter."""
    try:
        return instants.parse(value)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
