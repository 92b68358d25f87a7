"""The file that `relman apply` takes: what it states, what is refused and where, what it would change."""

import re
import socket
from contextlib import suppress
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from release_management.adapters.executors.catalog import settings_checks
from release_management.cli.kit.manifest_file import read_file
from release_management.kernel.types import Refused
from release_management.services.manifest import compare
from tests.acceptance.cli.conftest import Types

TARGET = """
environments:
  staging:
    targets:
      main:
        components:
          web: {command: ["{python}", -V], port: 18080}
"""


def refusal(text: str | bytes, folder: Path) -> str:
    file = folder / "relman.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(Refused) as refused:
        read_file(str(file))
    return refused.value.reason.replace(str(file), "FILE")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "FILE is empty; see what belongs there with: relman init"),
        ("[]", "FILE is no mapping; it begins with one of applications, environments, pipelines"),
        ("a: [", "FILE, line 1: this is not YAML"),
        ("a: 1\n---\nb: 2\n", "FILE, line 2: this is not YAML: expected a single document"),
        ("environments:\n  staging: {}\n  staging: {}\n", "line 3: environments.staging stands twice, first in line 2"),
        (
            "environments:\n  staging:\n    tiers: x\n",
            "line 3: environments.staging.tiers: there is no such key; there are name, label, tier",
        ),
        (
            "environmens: {}",
            "line 1: environmens: there is no such key; there are applications, environments, pipelines",
        ),
        ("environments:\n  '!': {}\n", "line 2: environments.!: '!' is no name"),
        ("environments:\n  A: {}\n  a: {}\n", "'A' and 'a' are one name, a; name each once"),
        (
            "environments:\n  staging: {order: soon}\n",
            "line 2: environments.staging.order: Input should be a valid int",
        ),
        ("environments:\n  staging: {order: 1.5}\n", "environments.staging.order"),
        ("environments:\n  staging: {order: '1'}\n", "environments.staging.order"),
        ("releases:\n  - {application: shop, version: 1.0, components: [a]}\n", "line 2: releases.0.version"),
        ("releases:\n  - {application: shop, version: 1.0.0}\n", "line 2: releases.0.components: it is missing"),
        (
            "releases:\n  - {application: s, version: 1.0.0, components: [{nme: a}]}\n",
            "releases.0.components.0.nme: there is no such key; there are name, label, version",
        ),
        ("a: !!python/object/apply:os.system ['true']", "the tag 'tag:yaml.org,2002:python/object/apply:os.system'"),
        ("a: &x [*x]", "an alias contains itself"),
        ("a: " + "[" * 1500, "nested too deeply"),
        (b"a: \xff", "FILE is not UTF-8 text (byte 3)"),
        ("? [a]\n: 1", "a key must be a text"),
        ("#" + " " * 1_000_001, "FILE is larger than 1,000,000 bytes; split it into several files"),
    ],
)
def test_a_fault_is_one_sentence_with_its_place(text: str | bytes, sentence: str, tmp_path: Path) -> None:
    message = refusal(text, tmp_path)
    assert sentence in message
    assert "\n" not in message


MERGED = """\
x-web: &web
  command: [run, --port, "{port}"]
  health: /health
  port: 18080
x-more: &more {health: /more, replicas: 2}
environments:
  staging:
    targets:
      main:
        components:
          web: {<<: *web, port: 18081}
          api:
            port: 18082
            <<: [*more, *web]
"""


def test_anchors_and_merge_keys_are_read_and_what_stands_there_wins(tmp_path: Path) -> None:
    file = tmp_path / "relman.yaml"
    file.write_text(MERGED)
    manifest, _ = read_file(str(file))
    components = manifest.environments["staging"].targets["main"].components
    command = ["run", "--port", "{port}"]
    assert components["web"] == {"command": command, "health": "/health", "port": 18081}
    assert components["api"] == {"command": command, "health": "/more", "port": 18082, "replicas": 2}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: &a [1]\nb: {<<: *a}\n", "FILE, line 2: b.<<: this merges a mapping, or a list of mappings, into this one"),
        ("b:\n  <<: text\n", "FILE, line 2: b.<<: this merges a mapping"),
        ("a: &a\n  <<: *a\n", "FILE, line 2: a mapping is merged into itself"),
        (
            "x-a: &a {order: 1,\n  tiers: dev}\nenvironments:\n  staging:\n    name: Staging\n    <<: *a\n",
            "FILE, line 2: environments.staging.tiers: there is no such key",
        ),
        (
            "x-a: &a {tiers: dev}\nenvironments:\n  staging:\n    <<: *a\n    tiers: qa\n",
            "FILE, line 5: environments.staging.tiers: there is no such key",
        ),
        ("environments:\n  staging: {x-a: 1}\n", "line 2: environments.staging.x-a: there is no such key"),
    ],
)
def test_a_fault_in_a_merged_key_is_reported_at_its_line(text: str, sentence: str, tmp_path: Path) -> None:
    assert sentence in refusal(text, tmp_path)


def test_a_merge_key_in_quotes_is_a_key(tmp_path: Path) -> None:
    assert "<<: there is no such key" in refusal("environments:\n  staging: {'<<': {}}\n", tmp_path)


def test_merges_count_against_an_alias_bomb(tmp_path: Path) -> None:
    lines = ["x-0: &a0 {" + ", ".join(f"k{n}: [{', '.join('x' * 90)}]" for n in range(90)) + "}"]
    lines += [f"x-{n}: {{<<: *a0}}" for n in range(1, 9)]
    assert "more than 50,000 values" in refusal("\n".join(lines), tmp_path)


APPLICATIONS = """\
applications:
  shop:
    components:
      web: {command: [run, -p, "{port}"], port: 18080, env: {LEVEL: info, REGION: none}}
      api: {command: [run], port: 18081}
environments:
  staging:
    targets:
      main: {}
  production:
    applications:
      shop:
        components:
          web: {port: 18090, env: {REGION: eu}}
          api: {port: 18091}
    targets:
      main: {}
      edge:
        applications:
          shop:
            components:
              web: {port: 18092}
              api: null
"""


def test_settings_of_an_application_are_given_once_and_differ_by_environment_and_target(
    relman: Types, tmp_path: Path
) -> None:
    file = tmp_path / "relman.yaml"
    file.write_text(APPLICATIONS)
    assert "+ target production/edge: local runs shop/web" in relman("apply", "relman.yaml").out

    found = {
        (environment["name"], target["name"]): target["applications"]["shop"]["components"]
        for environment in relman("env", "list", "--json").json
        for target in environment["targets"]
    }
    assert found["staging", "main"]["web"] == {
        "command": ["run", "-p", "{port}"],
        "port": 18080,
        "env": {"LEVEL": "info", "REGION": "none"},
    }
    assert found["production", "main"]["web"]["port"] == 18090
    assert found["production", "main"]["web"]["env"] == {"LEVEL": "info", "REGION": "eu"}
    assert (found["production", "edge"].keys(), found["production", "edge"]["web"]["port"]) == ({"web"}, 18092)
    assert "shop/web" in relman("env", "show", "production").out
    assert "unchanged" in relman("apply", "relman.yaml").out

    file.write_text(APPLICATIONS.replace("LEVEL: info", "LEVEL: debug"))
    changed = relman("apply", "relman.yaml", "--dry-run").out
    assert '~ target production/edge: applications.shop.components.web.env.LEVEL "info" → "debug"' in changed
    assert changed.count("~ target") == 3


@pytest.mark.parametrize(
    ("before", "now", "sentence"),
    [
        ("port: 18080", "port: 99999", "line 4: applications.shop.components.web: port:"),
        (
            "port: 18092",
            "port: 0",
            "line 22: environments.production.targets.edge.applications.shop.components.web: port:",
        ),
        ("port: 18091", "port: x", "line 15: environments.production.applications.shop.components.api: port:"),
        (
            "port: 18090",
            "port: 18080",
            "line 14: environments.production.applications.shop.components.web: port 18080 is",
        ),
        (
            "components:\n      web",
            "component:\n      web",
            "line 3: applications.shop.component: there is no such key",
        ),
        (
            "      main: {}\n  production",
            "      main:\n        components: {web: {}}\n  production",
            "environments.staging.targets.main.components: web stands under components, and application",
        ),
    ],
)
def test_a_fault_in_a_layer_is_reported_at_its_line(
    before: str, now: str, sentence: str, relman: Types, tmp_path: Path
) -> None:
    assert before in APPLICATIONS
    (tmp_path / "relman.yaml").write_text(APPLICATIONS.replace(before, now, 1))

    refused = relman("apply", "relman.yaml", "--dry-run")

    assert refused.code == 1
    assert sentence in refused.err


def test_an_alias_bomb_is_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "more than 50,000 values" in refusal("\n".join(lines), tmp_path)


def test_aliases_and_yaml_1_2_scalars_are_read(tmp_path: Path) -> None:
    file = tmp_path / "relman.yaml"
    file.write_text(
        "environments:\n"
        "  staging: {variables: &shared {A: on, B: 'true', C: 1:30}}\n"
        "  production: {variables: *shared}\n"
        "releases:\n"
        "  - application: shop\n"
        "    version: 1.0.0\n"
        "    components: [web]\n"
        "    changes: [{commit: abcd, committed_at: 2026-11-20T14:03:00Z}]\n"
    )
    manifest, _ = read_file(str(file))
    assert manifest.environments["production"].variables == {"A": "on", "B": "true", "C": "1:30"}
    assert manifest.releases[0].changes[0].committed_at == "2026-11-20T14:03:00Z"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            TARGET.replace("port: 18080", "port: 99999"),
            "line 7: environments.staging.targets.main.components.web: port:",
        ),
        (TARGET.replace("-V", "'{prot}'"), "the unknown placeholder {prot}"),
        (
            TARGET + TARGET.replace("environments:\n", "").replace("staging", "production"),
            "line 13: environments.production.targets.main.components.web: port 18080 is that of component web on "
            "target main of environment staging, and executor local has it once; give one of them another",
        ),
        (
            TARGET.replace("      main:", "      main:\n        executor: k8s"),
            "there is no executor 'k8s'; known: command, local",
        ),
        (
            "pipelines:\n  p: {application: shop, stages: [live]}\n",
            "line 2: pipelines.p.stages: pipeline p: environment",
        ),
        ("policies:\n  shop/live: {strategy: canary}\n", "policies.shop/live: environment 'live' does not exist"),
        (
            "policies:\n  shop:\n    strategy: canary\n    options: {steps: [{set_weight: 101}]}\n",
            "line 4: policies.shop.options: strategy canary: steps.0.set_weight: Input should be less than",
        ),
        (
            "policies:\n  shop: {strategy: canary, options: {steps: []}}\n",
            "policies.shop.options: strategy canary: steps",
        ),
        ("policies:\n  shop: {options: {a: 1}}\n", "policies.shop.options: they belong to no strategy"),
        (
            "policies:\n  shop: {strategies: {canary: {}, rolling: {}}}\n",
            "policies.shop.strategies: which is the default?",
        ),
        (
            "environments:\n  live: {approval: {required: 2, approvers: [bob]}}\n",
            "line 2: environments.live.approval: environment live: 2 approvals are required of 1 approvers",
        ),
        (
            "releases:\n  - {application: shop, version: 1.0.0, components: [web, web]}\n",
            "line 2: releases.0.components: a component stands twice in web, web",
        ),
    ],
)
def test_a_dry_run_finds_a_file_that_cannot_be_applied(text: str, sentence: str, relman: Types, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    answer = relman("apply", "bad.yaml", "--dry-run")
    assert answer.code == 1, answer
    assert sentence in answer.err
    assert answer.err.count("\n") == 1


def test_everything_is_checked_before_anything_is_changed(relman: Types, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("environments: {good: {}}\npolicies:\n  shop: {options: {a: 1}}\n")
    answer = relman("apply", "bad.yaml", "--json")
    assert answer.code == 1
    assert "they belong to no strategy" in answer.json["error"]["reason"]
    assert relman("audit", "log", "--json").json == []


def test_a_first_file_has_ports_of_its_own_though_the_usual_ones_are_taken(relman: Types) -> None:
    with socket.socket() as taken:
        with suppress(OSError):  # another has it already
            taken.bind(("127.0.0.1", 18080))
            taken.listen()
        assert relman("init").code == 0
    ports = re.findall(r"\bport: (\d+)", Path("relman.yaml").read_text())
    assert len(set(ports)) == 2
    assert "18080" not in ports


def test_the_difference_is_shown_and_applied_once(relman: Types, tmp_path: Path) -> None:
    file = tmp_path / "relman.yaml"
    assert relman("init").code == 0
    shown = relman("apply", "relman.yaml", "--dry-run")
    assert [line[:30].split(":")[0] for line in shown.out.splitlines()[:-1]] == [
        "+ environment staging",
        "+ target staging/main",
        "+ environment production",
        "+ target production/main",
        "+ pipeline shop",
        "+ policy shop",
        "+ release shop@1.0.0",
    ]
    assert not (tmp_path / ".relman").exists(), "a dry run makes nothing"
    made = relman("apply", "relman.yaml", "--json").json
    assert [(change["sign"], change["kind"]) for change in made["changes"]][-1] == ("+", "release")
    assert relman("apply", "relman.yaml").out.startswith("unchanged (environments 2, pipelines 1,")

    file.write_text(
        file.read_text()
        .replace("required: 1", "required: 2", 1)
        .replace("health: /health", "health: /healthy", 1)
        .replace("[staging, production]", "[production, staging]")
        .replace("strategy: rolling", "strategy: canary")
        .replace("{max_surge: 1, max_unavailable: 0}", "{initial_traffic: 10}")
    )
    records = len(relman("audit", "export").out.splitlines())
    changed = relman("apply", "relman.yaml", "--dry-run").out
    assert '~ target staging/main: components.web.health "/health" → "/healthy"' in changed
    assert "~ environment production: approval.required 1 → 2" in changed
    assert '~ pipeline shop: stages ["staging", "production"] → ["production", "staging"]' in changed
    assert '~ policy shop: canary {"initial_traffic": 10}; default "rolling" → "canary"' in changed
    assert changed.endswith("4 changes to make; make them with: relman apply relman.yaml\n")
    assert len(relman("audit", "export").out.splitlines()) == records
    assert relman("apply", "relman.yaml").code == 0
    assert relman("apply", "relman.yaml").out.startswith("unchanged")
    assert relman("env", "show", "production", "--json").json["approval"]["required"] == 2


def test_standard_input_is_a_file_too(relman: Types, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(b"environments: {staging: {}}")))
    assert relman("apply", "-", "--dry-run").out.startswith(
        "+ environment staging: tier staging by its name (set another with 'tier: development|testing|"
    )
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(b"environments: {staging: {tiers: x}}")))
    assert "standard input, line 1: environments.staging.tiers: there is no such key" in relman("apply", "-").err


def test_several_strategies_leave_the_named_one_as_the_default(relman: Types, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(
        "policies:\n  shop:\n    strategy: canary\n    strategies:\n      canary: {initial_traffic: 5}\n"
        "      rolling: {interval: 5s}\n    gates: {scan: {required: true}}\n"
        "    triggers: [{metric: error_rate, threshold: 0.02, duration_seconds: 60}]\n"
    )
    assert relman("apply", "policy.yaml").code == 0
    assert relman("apply", "policy.yaml").out.startswith("unchanged")
    file.write_text(file.read_text().replace("interval: 5s", "interval: 9s"))
    changed = relman("apply", "policy.yaml")
    assert changed.out.startswith('~ policy shop: rolling.interval "5s" → "9s"\n')
    assert relman("apply", "policy.yaml").out.startswith("unchanged")


def test_a_release_is_made_published_and_never_changed(relman: Types, tmp_path: Path) -> None:
    file = tmp_path / "releases.yaml"
    text = (
        "releases:\n  - application: shop\n    version: 1.0.0\n    draft: true\n    changelog: [First.]\n"
        "    components: [{name: web, artifact: web-1.tar.gz, config: {A: '1'}}]\n"
        "    changes: [{commit: 4f9a1c2, committed_at: 2026-11-20T14:03:00Z, author: Ann}]\n"
    )
    file.write_text(text)
    assert relman("apply", "releases.yaml").code == 0
    assert relman("apply", "releases.yaml").out.startswith("unchanged")
    file.write_text(text.replace("    draft: true\n", ""))
    assert relman("apply", "releases.yaml").out.startswith("~ release shop@1.0.0: published\n")
    file.write_text(text.replace("web-1.tar", "web-2.tar"))
    answer = relman("apply", "releases.yaml")
    assert answer.code == 1
    assert "line 2: releases.0: release shop@1.0.0 exists with other content (components.web.artifact" in answer.err
    assert "state a new version" in answer.err


def ports(**of: int) -> str:
    """A file with environments of one component each, on these ports."""
    return "environments:\n" + "".join(
        f"  {name}: {{targets: {{main: {{components: {{web: {{command: ['{{python}}', -V], port: {port}}}}}}}}}}}\n"
        for name, port in of.items()
    )


def test_a_port_is_free_for_another_once_the_change_that_frees_it_is_made(relman: Types, tmp_path: Path) -> None:
    file = tmp_path / "relman.yaml"
    file.write_text(ports(one=18080, two=18081, three=18082))
    assert relman("apply", "relman.yaml").code == 0
    file.write_text(ports(one=18081, two=18082, three=18083, four=18080))

    shown = relman("apply", "relman.yaml", "--dry-run")
    made = relman("apply", "relman.yaml")

    assert [line[:15].strip(":") for line in shown.out.splitlines()[:-1]] == [
        "~ target three/",
        "+ environment f",
        "~ target two/ma",
        "~ target one/ma",
        "+ target four/m",
    ]
    assert made.code == 0, made
    assert relman("apply", "relman.yaml").out.startswith("unchanged")


def test_components_that_exchange_their_ports_are_refused_before_anything_is_changed(
    relman: Types, tmp_path: Path
) -> None:
    file = tmp_path / "relman.yaml"
    file.write_text(ports(one=18080, two=18081))
    assert relman("apply", "relman.yaml").code == 0
    file.write_text(ports(zero=18090, one=18081, two=18080))

    for answer in (relman("apply", "relman.yaml", "--dry-run"), relman("apply", "relman.yaml")):
        assert answer.code == 1
        assert answer.err.endswith(
            "relman.yaml, line 3: environments.one.targets.main.components.web: port 18081 is still that of target "
            "main of environment two, which waits for what this one has; apply twice: first with something here that "
            "nobody has, then with this\n"
        ), answer.err
    assert [row["name"] for row in relman("env", "list", "--json").json] == ["one", "two"]
    file.write_text(ports(one=18099, two=18080))
    assert relman("apply", "relman.yaml").code == 0
    file.write_text(ports(one=18081, two=18080))
    assert relman("apply", "relman.yaml").code == 0


def test_an_existing_collision_that_stays_does_not_keep_a_file_from_being_applied(tmp_path: Path) -> None:
    file = tmp_path / "relman.yaml"
    file.write_text(ports(one=18080, two=18080, three=18082))
    manifest, read = read_file(str(file))
    there = [
        {"name": name, "order": 0, "targets": [part.targets["main"].named("main").model_dump(mode="json")]}
        for name, part in manifest.environments.items()
        if name != "three"
    ]

    changes = compare(manifest, read, lambda name, **_: there if name == "environments" else [], settings_checks())

    assert [str(change).partition(":")[0] for change in changes] == ["+ environment three", "+ target three/main"]


LABELLED = """
environments:
  Staging EU: {tier: staging, targets: {Main Hall: {components: {Front End: {command: [./run], port: 18080}}}}}
pipelines:
  Main Release Pipeline: {application: Web Shop, stages: [staging_eu]}
policies:
  Web Shop: {gates: {security_scan: {pass_threshold: no critical}, load: {pass_threshold: 90}}}
  Web Shop/Staging EU: {strategy: recreate}
releases:
  - {application: Web Shop, version: 1.0.0, components: [Front End]}
"""


def test_names_in_the_file_are_labels(relman: Types, tmp_path: Path) -> None:
    file = tmp_path / "labels.yaml"
    file.write_text(LABELLED)

    made = relman("apply", "labels.yaml", "--json").json

    assert [change["name"] for change in made["changes"]] == [
        "staging-eu",
        "staging-eu/main-hall",
        "main-release-pipeline",
        "web-shop",
        "web-shop/staging-eu",
        "web-shop@1.0.0",
    ]
    assert relman("apply", "labels.yaml").out.startswith(
        "unchanged (environments 1, pipelines 1, policies 2, releases 1)"
    )
    file.write_text(LABELLED.replace("Staging EU", "staging-eu").replace("security_scan", "security-scan"))
    assert relman("apply", "labels.yaml").out.startswith("unchanged ("), "ids leave the labels as they are"
    shown = relman("env", "show", "STAGING EU", "--json").json
    assert (shown["name"], shown["label"]) == ("staging-eu", "Staging EU")
    assert [(target["name"], target["label"]) for target in shown["targets"]] == [("main-hall", "Main Hall")]
    attested = relman("release", "attest", "Web Shop@1.0.0", "--gate", "Security Scan", "--result", "passed")
    assert attested.code == 0
    assert "of Web Shop (published)" in relman("release", "show", "web-shop@1.0.0").out


def test_a_line_is_found_where_the_file_has_a_label(relman: Types, tmp_path: Path) -> None:
    (tmp_path / "labels.yaml").write_text(LABELLED.replace("[staging_eu]", "[nowhere]"))

    assert "line 5: pipelines.Main Release Pipeline.stages: " in relman("apply", "labels.yaml").err


def test_applying_says_where_a_tier_comes_from_that_nobody_stated(relman: Types, tmp_path: Path) -> None:
    file = tmp_path / "relman.yaml"
    file.write_text("environments: {pre-prod: {}, prod2: {}, eu: {}, live: {tier: staging}}\n")

    lines = relman("apply", str(file)).out.splitlines()
    shown = {each["name"]: each["tier_source"] for each in relman("env", "list", "--json").json}

    assert [line.partition(" (set")[0] for line in lines[:4]] == [
        "+ environment pre-prod: tier staging by its name",
        "+ environment prod2: tier production by its name",
        "+ environment eu: tier development, as its name says none",
        "+ environment live",
    ]
    assert shown == {"pre-prod": "name", "prod2": "name", "eu": "default", "live": None}
    assert "pre-prod (pre-prod, staging by its name)" in relman("env", "show", "pre-prod").out
    assert "eu (eu, development, as its name says no tier)" in relman("env", "show", "eu").out


def test_a_pipeline_of_another_application_is_not_taken_away(relman: Types, tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text("environments: {staging: {}}\npipelines:\n  main: {application: shop}\n")
    (tmp_path / "desk.yaml").write_text("pipelines:\n  Main: {application: desk}\n")
    assert relman("apply", "shop.yaml").code == 0

    for answer in (relman("apply", "desk.yaml", "--dry-run"), relman("apply", "desk.yaml")):
        assert answer.code == 1
        assert (
            "line 2: pipelines.Main: pipeline main: that name is taken by the pipeline of application shop; give the "
            "one of application desk another"
        ) in answer.err


def test_the_starter_has_two_ports_also_where_the_first_one_is_taken(relman: Types, tmp_path: Path) -> None:
    with socket.socket() as other:
        with suppress(OSError):  # somebody else has it, which is as well
            other.bind(("127.0.0.1", 18080))
            other.listen()
        assert relman("init").code == 0

    assert relman("apply", "relman.yaml", "--dry-run").code == 0
    ports = re.findall(r"^ +port: (\d+)", (tmp_path / "relman.yaml").read_text(), re.MULTILINE)
    assert len(ports) == len({"18080", *ports}) - 1 == 2
