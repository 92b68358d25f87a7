"""Every personal text is found, wherever it stands in a fact."""

from typing import Any

import pytest
from pydantic import BaseModel

from release_management.kernel.types import (
    Fact,
    Personal,
    Unsealed,
)
from release_management.services.gateway.outcomes import OutcomeCodec
from release_management.services.sealing import (
    ERASED,
    reveal,
    seal,
)
from tests.domain.samples import SAMPLES
from tests.services.gateway_harness import GatewayHarness


def opened(value: Any) -> Any:
    """The same value with every personal text in it open, as it is before sealing."""
    if isinstance(value, Personal):
        return Unsealed(subject=value.subject, text="secret")
    if isinstance(value, BaseModel):
        return value.model_copy(update={name: opened(part) for name, part in value})
    return tuple(opened(item) for item in value) if isinstance(value, tuple) else value


@pytest.mark.parametrize("fact", [fact for _, fact in SAMPLES], ids=[fact.NAME for _, fact in SAMPLES])
def test_every_personal_text_of_a_fact_is_sealed(fact: Fact, harness: GatewayHarness) -> None:
    sealed = seal(opened(fact), harness.keyring)

    assert "secret" not in sealed.model_dump_json()
    assert ("sealed" in sealed.model_dump_json()) == ("sealed" in fact.model_dump_json())


def test_a_fact_without_one_is_itself(harness: GatewayHarness) -> None:
    plain = [fact for _, fact in SAMPLES if "sealed" not in fact.model_dump_json()]

    assert plain
    assert all(seal(fact, harness.keyring) is fact for fact in plain)


def test_a_stored_outcome_is_sealed_unless_all_that_it_says_names_nobody(harness: GatewayHarness) -> None:
    answers = OutcomeCodec(harness.keyring)
    actor = harness.keyring.actor_id("alice")
    content = {"status": "accepted", "sender": "test", "id": "1", "command": "release.create"}

    assert b"shop@1.0.0" in answers.stored({**content, "result": {"release": "shop@1.0.0"}}, actor, harness.keyring)
    assert b"Bob" not in answers.stored(
        {**content, "result": {"release": "shop@1.0.0", "remark": "ask Bob"}}, actor, harness.keyring
    )
    assert b"Bob" not in answers.stored(
        {**content, "status": "refused", "reason": "Bob said no"}, actor, harness.keyring
    )


def test_a_personal_text_is_found_in_lists_and_by_name_too(harness: GatewayHarness) -> None:
    actor = harness.keyring.actor_id("alice")
    note = Unsealed(subject=actor, text="secret")

    facts: dict[str, Any] = {"notes": [note, {"last": note}], "plain": 1}
    sealed = seal(facts, harness.keyring)

    assert "secret" not in str(sealed)
    assert sealed["plain"] == 1
    assert sealed["notes"][1]["last"].sealed.startswith("s1.")


def test_data_for_people_has_names_and_unsealed_texts(harness: GatewayHarness) -> None:
    actor = harness.keyring.actor_id("alice")
    shown = {"by": actor, "why": {"subject": actor, "sealed": harness.keyring.seal(actor, "late")}}

    assert reveal(shown, harness.keyring) == {"by": "alice", "why": "late"}

    harness.keyring.erase(actor)
    assert reveal(shown, harness.keyring)["why"] == ERASED


@pytest.mark.parametrize(
    "words",
    [
        {"subject": "mail", "sealed": "yes"},
        {"subject": "usr_abcdefgh", "sealed": "s1.!"},
        {"subject": "", "sealed": ""},
        {"subject": None, "sealed": 1},
    ],
)
def test_somebodys_own_words_that_look_like_a_sealed_text_are_shown_as_they_are(
    words: dict[str, Any], harness: GatewayHarness
) -> None:
    assert reveal({"variables": words}, harness.keyring) == {"variables": words}
