"""Pseudonyms: the same word for the same name and key, and none that says the name."""

import re

from hypothesis import given
from hypothesis import strategies as st

from api.audit import parameters_of
from api.parameters import ListParameters
from services.pseudonyms import Pseudonyms


@given(st.text(), st.text())
def test_a_name_has_one_word_of_a_key(name: str, other: str) -> None:
    ours, theirs = Pseudonyms(b"k" * 32), Pseudonyms(b"l" * 32)
    assert re.fullmatch("[0-9a-f]{16}", ours.word_for(name))
    assert ours.word_for(name) == Pseudonyms(b"k" * 32).word_for(name)
    assert ours.word_for(name) != theirs.word_for(name)
    assert (ours.word_for(name) == ours.word_for(other)) == (name == other)


def test_each_process_without_a_key_has_its_own() -> None:
    assert Pseudonyms().word_for("acme") != Pseudonyms().word_for("acme")


def test_it_is_what_openssl_makes_of_it() -> None:
    """As deploy/README.md tells an auditor: printf %s acme | openssl dgst -sha256 -hmac key -r."""
    assert Pseudonyms(b"key").word_for("acme") == "2a0c2d9f96b5b1a7"


def test_a_key_is_not_shown() -> None:
    assert "kkkk" not in repr(Pseudonyms(b"k" * 32))


@given(st.text())
def test_of_parameters_only_our_own_names_are_told(text: str) -> None:
    ours = {field.alias or name for name, field in ListParameters.model_fields.items()}
    assert set(parameters_of(text)) <= ours | {"unknown"}


def test_parameters_are_told_by_name() -> None:
    query = "from=0&words=refund&John+Smith=1&words=bill&cursor="
    assert parameters_of(query) == ["cursor", "from", "words", "unknown"]
