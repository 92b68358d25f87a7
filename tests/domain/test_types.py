"""Names, versions, durations, texts."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from release_management.domain.release import ReleaseBlocked
from release_management.kernel.errors import ErrorCode
from release_management.kernel.types import (
    MAX_SECONDS,
    ActorId,
    Digest,
    Line,
    Name,
    Percent,
    Personal,
    Ratio,
    Refused,
    Seconds,
    Unsealed,
    Verdict,
    Version,
    explain,
)
from tests.domain.build import ANN, DIGEST


def read(kind: Any, value: object) -> object:
    return TypeAdapter(kind).validate_python(value, strict=True)


def complaint(kind: Any, value: object) -> str:
    with pytest.raises(ValidationError) as refusal:
        read(kind, value)
    return explain(refusal.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (0, 0),
        (90, 90),
        (1.5, 1.5),
        ("90", 90),
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5400),
        ("2d", 172_800),
        ("250ms", 0.25),
        ("1.5h", 5400),
        (" 5m ", 300),
        (f"{MAX_SECONDS}", MAX_SECONDS),
    ],
)
def test_a_duration_is_seconds_or_a_text_with_units(text: object, seconds: float) -> None:
    assert read(Seconds, text) == seconds


@pytest.mark.parametrize("text", ["", "5 m", "5x", "m", "1h30", "-5m", "5m!", "nan", "inf", "1e3", "٣", "0x10"])
def test_a_text_that_is_no_duration_is_refused_with_examples(text: str) -> None:
    assert complaint(Seconds, text) == (
        f'the value: {text!r} is no duration; write seconds, or text such as "90s", "5m", "1h30m"'
    )


@pytest.mark.parametrize(
    "value", [True, False, None, -1, -0.5, float("nan"), float("inf"), [], {}, MAX_SECONDS + 1, 10**400, -(10**400)]
)
def test_a_value_that_is_no_duration_is_refused(value: object) -> None:
    complaint(Seconds, value)


@given(st.integers(0, 90), st.integers(0, 59), st.integers(0, 59))
def test_a_duration_is_the_sum_of_its_parts(hours: int, minutes: int, seconds: int) -> None:
    assert read(Seconds, f"{hours}h{minutes}m{seconds}s") == hours * 3600 + minutes * 60 + seconds


@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_is_refused(text: str) -> None:
    try:
        assert 0 <= float(str(read(Seconds, text))) <= MAX_SECONDS
    except ValidationError:
        complaint(Seconds, text)


@pytest.mark.parametrize("name", ["a", "7", "api", "api-2", "a" * 63])
def test_a_name_is_short_and_lower_case(name: str) -> None:
    assert read(Name, name) == name


@pytest.mark.parametrize("name", ["", "-a", "Api", "a_b", "a b", "a.b", "a/b", "a\n", "ä", "a" * 64])
def test_other_texts_are_no_names_and_it_says_what_is(name: str) -> None:
    assert "write 1 to 63 of a-z, 0-9 and '-', beginning with a letter or digit" in complaint(Name, name)


def test_a_version_has_a_longest_length() -> None:
    complaint(Version, "1.0.0-" + "a" * 123)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Percent, True),
        (Percent, 101),
        (Percent, -1),
        (Percent, 5.0),
        (Percent, "5"),
        (Ratio, 1.01),
        (Ratio, float("nan")),
        (Ratio, True),
        (Line, ""),
        (Line, "two\nlines"),
        (Line, "a" * 501),
        (Digest, DIGEST.upper()),
        (Digest, DIGEST + "\n"),
        (ActorId, "ann"),
        (ActorId, "system:Timers"),
        (ActorId, "usr_short"),
    ],
)
def test_a_boolean_is_no_number_and_a_number_is_no_text(kind: Any, value: object) -> None:
    complaint(kind, value)


@pytest.mark.parametrize("actor", ["usr_ann00001", "svc_builder01", "system:timers"])
def test_actors_are_opaque_ids(actor: str) -> None:
    assert read(ActorId, actor) == actor


def test_a_personal_text_is_open_before_it_is_recorded_and_sealed_after() -> None:
    assert Unsealed(subject=ANN, text="by Ann").sealed == ""
    assert Unsealed(subject=ANN, text="").text == ""
    fact = ReleaseBlocked(reason=Unsealed(subject=ANN, text="by Ann"))
    assert ReleaseBlocked.model_validate(fact).reason == Unsealed(subject=ANN, text="by Ann")
    assert "by Ann" not in fact.model_dump_json(), "even where somebody forgot to seal it"


@pytest.mark.parametrize("kind", [Personal, Unsealed])
@pytest.mark.parametrize("given", [{}, {"sealed": ""}, {"text": "by Ann", "sealed": "v1.k.x"}])
def test_a_personal_text_is_never_both_nor_neither(kind: type[Personal], given: dict[str, str]) -> None:
    complaint(kind, {"subject": ANN, **given})


def test_a_value_never_changes_and_takes_no_unknown_field() -> None:
    text = Unsealed(subject=ANN, text="by Ann")

    with pytest.raises(ValidationError):
        text.text = "by Ben"  # type: ignore[misc] # frozen, which is the point
    assert "mood" in complaint(Personal, {"subject": ANN, "text": "by Ann", "mood": "good"})


def test_a_refusal_says_its_reason_and_shows_the_rules_that_were_asked() -> None:
    denied = Verdict(rule="block", says="deny", reason="shop@1.0.0 is blocked")
    refusal = Refused("not now", (denied,), code=ErrorCode.DENIED)

    assert str(refusal) == refusal.reason == "not now"
    assert refusal.verdicts == (denied,)


def test_an_explanation_says_where_what_and_what_came_in() -> None:
    assert complaint(Verdict, {"rule": "block", "says": "perhaps", "reason": "?"}).startswith("says: ")
    assert "(got 'perhaps')" in complaint(Verdict, {"rule": "block", "says": "perhaps", "reason": "?"})
    assert complaint(Verdict, {"rule": "block", "says": "deny"}) == "reason: Field required"


def test_a_duration_of_a_hundred_thousand_digits_is_refused_unread() -> None:
    began = time.process_time()

    assert "at most 40 characters" in complaint(Seconds, "1" * 100_000 + "x")
    assert time.process_time() - began < 20


def test_a_message_that_is_wrong_in_every_part_is_explained_as_soon_as_one_that_is_wrong_in_one() -> None:
    began = time.process_time()
    sentence = complaint(dict[Name, int], {f"No {number}": "x" for number in range(50_000)})

    assert "No 0" in sentence
    assert sentence.count(";") <= 6
    assert time.process_time() - began < 20
