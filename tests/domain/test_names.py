"""The ids of names that people give."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_management.domain.environment import (
    ConfigureEnvironment,
    Environment,
    Target,
    TargetConfigured,
)
from release_management.domain.environment_decisions import EnvironmentFacts
from release_management.domain.environment_decisions import decide as configure_environment
from release_management.domain.pipeline import (
    ConfigurePipeline,
    Pipeline,
    PipelineFacts,
    decide,
)
from release_management.domain.policy import (
    ConfigureGates,
    Gate,
    Policy,
    PolicyGatesConfigured,
)
from release_management.domain.policy import decide as configure_policy
from release_management.domain.release_commands import CreateRelease
from release_management.kernel.names import (
    MAX_LABEL,
    id_of,
    ref_of,
)

ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


@pytest.mark.parametrize(
    ("label", "id"),
    [
        ("production", "production"),
        ("my--app-", "my--app-"),
        ("Main Release Pipeline", "main-release-pipeline"),
        ("security_scan", "security-scan"),
        ("SECURITY_SCAN", "security-scan"),
        ("  Production\u00a0 EU ", "production-eu"),
        ("web (v2.1)", "web-v2-1"),
        ("Größe Übergabe", "groesse-uebergabe"),
        ("Gro\u0308ße U\u0308bergabe", "groesse-uebergabe"),
        ("Café Łódź", "cafe-lodz"),
        ("İstanbul", "istanbul"),
        ("ＦＵＬＬ", "full"),
        ("Production 🚀", "production-47f97ed3"),
        ("🚀", "name-ebbc0b28"),
        ("C++", "c-cedb1bac"),
        ("Продакшн", "name-27743b43"),
        ("日本語", "name-77710aed"),
        ("x" * 63, "x" * 63),
        ("X" * 200, f"{'x' * 54}-aa20c23e"),
    ],
)
def test_an_id_is_derived_from_a_label_and_stays_so_for_ever(label: str, id: str) -> None:
    assert id_of(label) == id


@pytest.mark.parametrize("label", ["", "  ", "---", "!?", "\u200b", "a\nb", "a\x00", "\ud800", "x" * (MAX_LABEL + 1)])
def test_a_text_without_an_id_is_no_name(label: str) -> None:
    with pytest.raises(ValueError, match=r"is no name; write|goes on for 501 characters; a name has at most 500"):
        id_of(label)


@given(st.text(max_size=MAX_LABEL))
def test_every_label_with_a_letter_or_a_digit_has_an_id(label: str) -> None:
    if any(unicodedata.category(it)[0] in "LN" for it in label) and label.isprintable():
        assert ID.fullmatch(id_of(label))
        assert id_of(id_of(label)) == id_of(label)


@given(st.lists(st.text(alphabet="abcäöüß你好🚀+", min_size=1, max_size=6), min_size=1, max_size=4))
def test_case_and_what_parts_the_words_make_no_other_name(words: list[str]) -> None:
    written = " ".join(words)

    assert id_of(written) == id_of("_".join(words)) == id_of(f"  {written.upper()}") == id_of("-".join(words))


@given(st.lists(st.text(alphabet="语言名字🚀+№", min_size=1, max_size=5), min_size=2, max_size=5, unique=True))
def test_labels_of_which_an_id_cannot_say_everything_do_not_share_one(labels: list[str]) -> None:
    assert len({id_of(f"Team {label}") for label in labels}) == len(
        {unicodedata.normalize("NFKC", it) for it in labels}
    )


def test_a_reference_to_a_release_has_its_applications_id() -> None:
    assert ref_of("Web Shop@1.0.0") == "web-shop@1.0.0"
    assert ref_of("1.0.0") == "1.0.0"


# Who is given a name


def test_the_written_name_is_the_label_and_an_id_may_be_given() -> None:
    derived = ConfigurePipeline(name="Main Pipeline", stages=("Staging",))
    stated = ConfigurePipeline(name="main", label="Main Pipeline")
    plain = ConfigurePipeline(name="main")

    assert (derived.name, derived.label, derived.stages) == ("main-pipeline", "Main Pipeline", ("staging",))
    assert (stated.name, stated.label) == ("main", "Main Pipeline")
    assert (plain.name, plain.label) == ("main", None)


def test_the_id_alone_keeps_the_label_and_another_spelling_becomes_the_label() -> None:
    there = PipelineFacts(("staging",))
    (first,) = decide(ConfigurePipeline(name="Main Pipeline"), Pipeline(), there)
    known = Pipeline("main-pipeline", "default", first.stages, first.label)

    assert decide(ConfigurePipeline(name="main-pipeline"), known, there) == []
    assert decide(ConfigurePipeline(name="Main Pipeline"), known, there) == []
    (again,) = decide(ConfigurePipeline(name="MAIN PIPELINE"), known, there)
    assert again.label == "MAIN PIPELINE"


def test_a_gate_is_the_same_however_it_is_spelled_and_keeps_its_label() -> None:
    written = ConfigureGates(gates={"security_scan": Gate(pass_threshold="no critical")})
    (fact,) = configure_policy(written, Policy())
    assert isinstance(fact, PolicyGatesConfigured)
    assert fact.gates == {"security-scan": Gate(pass_threshold="no critical", label="security_scan")}
    (changed,) = configure_policy(
        ConfigureGates(gates={"security-scan": Gate(required=False)}), Policy(gates=fact.gates)
    )
    assert isinstance(changed, PolicyGatesConfigured)
    assert changed.gates == {"security-scan": Gate(required=False, label="security_scan")}


@pytest.mark.parametrize("threshold", [90, 99.5, 0, "no critical", "90"])
def test_a_threshold_is_kept_as_it_was_given(threshold: float | str) -> None:
    assert Gate(pass_threshold=threshold).pass_threshold == threshold
    assert type(Gate.model_validate_json(Gate(pass_threshold=threshold).model_dump_json()).pass_threshold) in (
        (str,) if isinstance(threshold, str) else (int, float)
    )


def test_a_target_keeps_its_label() -> None:
    eu = Target(name="EU West", components={"Web Shop": {}}, slots=("Blue", "Green"))
    state = Environment(name="production", label="production", targets={"eu-west": eu})

    facts = configure_environment(
        ConfigureEnvironment(name="production", targets=(Target(name="eu-west"),)),
        state,
        EnvironmentFacts("usr_ann00001"),
    )

    assert (eu.name, eu.label, eu.slots, list(eu.components)) == ("eu-west", "EU West", ("blue", "green"), ["web-shop"])
    (stated,) = [fact.target for fact in facts if isinstance(fact, TargetConfigured)]
    assert stated == Target(name="eu-west", label="EU West")


def test_an_application_and_its_components_have_labels() -> None:
    text = '{"application": "Web Shop", "version": "1.0.0", "components": [{"name": "Front End"}, {"name": "api"}]}'

    command = CreateRelease.model_validate_json(text)

    assert (command.application, command.label) == ("web-shop", "Web Shop")
    assert [(part.name, part.label) for part in command.components] == [("front-end", "Front End"), ("api", None)]
