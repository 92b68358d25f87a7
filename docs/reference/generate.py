"""Write the reference pages from the code: `python docs/reference/generate.py`.

`--check` writes nothing and fails where a committed page is not what would be written. What a field means stands on
the field; `meanings.toml` has what is no field. Something without a meaning, and a meaning of nothing, are errors.
"""

import ast
import difflib
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nats.js.api import RetentionPolicy
from prometheus_client.metrics import MetricWrapperBase
from pydantic import BaseModel

import release_management
from docs.reference.fields import SHAPES, WORDS, Meanings, doc, fields_table, meaning, row
from release_management.adapters.executors.base.claims import Claims
from release_management.adapters.executors.command.answer import ProgramAnswer
from release_management.adapters.executors.command.environment import ORDER_VARIABLES
from release_management.adapters.executors.command.observing import Observed, ObservedSlot
from release_management.adapters.executors.command.settings import CommandSettings
from release_management.adapters.executors.local.settings import (
    PLACEHOLDERS,
    Balancing,
    ComponentSettings,
    HealthCheck,
)
from release_management.adapters.nats import asyncapi
from release_management.adapters.nats.access import permissions
from release_management.adapters.nats.queues import streams
from release_management.cli.kit.errors import (
    REFUSED,
    TIMED_OUT,
    UNREACHABLE,
    USAGE,
)
from release_management.domain import orders, plan, registry
from release_management.domain.environment import Target
from release_management.domain.plan.builder import RolloutTarget
from release_management.domain.plan.compiler import compile_plan
from release_management.domain.plan.strategies import STRATEGIES
from release_management.domain.plan.strategies.canary import CanaryStep
from release_management.domain.plan.strategy import Strategy
from release_management.domain.tiers import (
    DEFAULT_TIER,
    NOT,
    TIERS,
)
from release_management.facade.manager import ReleaseManager
from release_management.facade.views import View
from release_management.kernel import record
from release_management.kernel.errors import ErrorCode
from release_management.kernel.types import Giver
from release_management.services import telemetry
from release_management.services.envelope import Outcome
from release_management.services.manifest import models as manifest
from release_management.services.queries import QUERIES
from release_management.services.use_cases import (
    COMMANDS,
    declaration,
    given_by,
)

HERE = Path(__file__).resolve().parent
NOTE = "<!-- Written by docs/reference/generate.py from the code; change it there. -->"
EXITS = {
    ErrorCode.INVALID: f"{REFUSED}, or {USAGE} for the command line itself",
    ErrorCode.UNAUTHORIZED: f"{UNREACHABLE}",
    ErrorCode.BUSY: f"{UNREACHABLE}, once waiting for it is over",
    ErrorCode.UNAVAILABLE: f"{UNREACHABLE}, or {REFUSED} where this process uses the store itself",
    ErrorCode.TIMEOUT: f"{TIMED_OUT}",
    ErrorCode.UNUSABLE: f"{REFUSED}, or {UNREACHABLE} where it keeps everybody from answering",
    ErrorCode.INTERNAL: f"{REFUSED}, or {UNREACHABLE} where nothing was decided",
}
"""The exit codes that go with a code, where they are not always 1."""


def page(title: str, intro: str, *parts: Iterable[str]) -> str:
    """A page's text."""
    lines = [f"# {title}", "", NOTE, "", inspect.cleandoc(intro), ""]
    for part in parts:
        lines += part
    return "\n".join(lines).rstrip() + "\n"


# Pages


def events() -> str:
    """Every event."""

    def listed() -> Iterator[str]:
        yield from ("## The envelope", "", *fields_table(record.Envelope))
        group = ""
        for name, fact in sorted(registry.FACTS.items(), key=lambda item: item[0].split(".")[0]):
            if name.split(".")[0] != group:
                group = name.split(".")[0]
                yield from (f"## {group}", "", f"Stream {Meanings.of('streams', group)}.", "")
            yield from (f"### {name}", "", f"Version {fact.VERSION}. {doc(fact)}", "")
            yield from fields_table(fact)

    return page(
        "Events",
        """
        Every kind of record that the log can hold. A record is one CloudEvents 1.0 JSON document; `data` holds the
        fields that are listed here. Names and versions are permanent. On the bus the event `deployment.started` comes
        on the subject `relman.events.deployment.started`. A field without a value is left out, never null.
        How to check records is told in [Audit it](../how-to/audit-it.md); the types are in [Types](types.md).
        """,
        listed(),
    )


def commands() -> str:
    """Every command."""

    def listed() -> Iterator[str]:
        public = given_by(Giver.PEOPLE)
        for name in sorted(public):
            model = declaration(name)
            yield from (f"## {name}", "", doc(model), "", *fields_table(model))
        yield from ("## Sent by the machinery", "")
        yield "Executors, orchestrator and timers send these. They change nothing where they do not fit what stands."
        yield "A deadline waits until the reports that were queued before it have been decided."
        yield ""
        for name, (model, _) in sorted(COMMANDS.items()):
            if name not in public:
                yield from (f"### {name}", "", asyncapi.described(model), "", *fields_table(model))
        yield from ("## The outcome", "", *doc(Outcome).splitlines(), "", *fields_table(Outcome))

    return page(
        "Commands",
        """
        The commands, by their names on the bus. The fields stand in the CloudEvent's `data`.
        Ask on `relman.ask.command.<name>` for an answer, or publish on `relman.commands.<name>`:
        [Publish commands from a service](../how-to/publish-commands-from-a-service.md). The types are in
        [Types](types.md). A command whose result is already true records nothing.
        """,
        listed(),
    )


def strategies() -> str:
    """Every strategy with its options."""

    def listed() -> Iterator[str]:
        for strategy, model in STRATEGIES.items():
            yield from (f"## {strategy}", "", *doc(model).splitlines(), "", *fields_table(model, first="option"))
            yield "With its defaults, two replicas and an earlier version that serves, it compiles to:"
            yield from ("", "```text", *example_plan(model), "```", "")
        yield from ("## A canary's steps", "", "`steps` is a list; each item has exactly one of these keys.", "")
        yield from ("| step | meaning |", "|---|---|")
        yield from (row(f"`{name}`", meaning(CanaryStep, name)) for name in CanaryStep.model_fields)
        yield ""

    return page(
        "Strategies",
        """
        A strategy compiles a release to a [plan](../discussions/concepts.md#plans-and-steps). Its options come from the
        policy of the application, the policy of the application in the environment, the release's own canary share,
        and the deployment itself: the later one wins, option by option. Without any policy the strategy is `rolling`.
        A first deployment at a place has no earlier version, so it routes all traffic at once and says so.
        """,
        listed(),
    )


def example_plan(model: type[Strategy]) -> Iterator[str]:
    """The steps of a plan, and the way back."""
    stand = RolloutTarget(target="main", component="web", serving=True, replicas=2)
    made = compile_plan(model(), "1.1.0", [stand])
    for number, step in enumerate(made.forward, 1):
        yield f"{number:2}  {step.describe()}"
    yield "back"
    for number, step in enumerate(made.rollback, 1):
        yield f"{number:2}  {step.describe()}"


def settings() -> str:
    """Return the page on components' settings."""

    def listed() -> Iterator[str]:
        yield from ("## A component of `local`", "", *doc(ComponentSettings).splitlines(), "")
        yield from fields_table(ComponentSettings, hide=("slots",))
        yield from ("### Balancing", "", *doc(Balancing).splitlines(), "")
        yield from fields_table(Balancing)
        yield from ("### HealthCheck", "", *doc(HealthCheck).splitlines(), "")
        yield from fields_table(HealthCheck)
        yield from ("### Placeholders of its command", "", "| placeholder | becomes |", "|---|---|")
        for name in PLACEHOLDERS:
            yield row(f"`{{{name}}}`", Meanings.of("placeholders", name))
        yield from ("", "## A component of `command`", "", *doc(CommandSettings).splitlines(), "")
        yield from fields_table(CommandSettings, hide=("slots",))
        yield from ("### What a program gets", "", "| variable | is |", "|---|---|")
        for name in ORDER_VARIABLES:
            yield row(f"`RELMAN_{name.upper()}`", Meanings.of("variables", name))
        yield from ("", "### What a program answers", "", *doc(ProgramAnswer).splitlines(), "")
        yield from fields_table(ProgramAnswer)
        yield from ("", "### What `observe` answers", "", *doc(Observed).splitlines(), "")
        yield from fields_table(Observed)
        yield from ("", "### ObservedSlot", "", *doc(ObservedSlot).splitlines(), "")
        yield from fields_table(ObservedSlot)
        yield from ("### Claims", "", *doc(Claims).splitlines(), "", *fields_table(Claims))
        yield from ("## A target", "", *fields_table(Target))
        yield from ("## Tiers", "", "An environment's tier follows from its name unless it is given.", "")
        yield from ("| a word in the name | tier |", "|---|---|")
        for word, tier in TIERS.items():
            yield row(f"`{word}`", tier)
        yield from (f"| any other | {DEFAULT_TIER} |", "")
        denials = " or ".join(f"`{word}`" for word in NOT)
        yield from (
            "A number before or behind a word does not count (`prod2`), and words are whole: `livestream` says",
            f"nothing. After {denials}, or before `like`, a word says nothing (`non-production`, `nonprod`,",
            "`prod-like`). After `pre`, production is staging (`pre-prod`, `preprod`). A name that says production and",
            "another tier is of the other one (`prod-test`); of others the first counts. `relman apply`,",
            "`relman env show` and Python say that a tier follows from the name, or that the name says none; `tier`",
            "states another.",
            "",
        )

    return page(
        "Settings of the executors",
        """
        The executor `local` runs components as processes of this machine behind HAProxy; `command` has programs of
        yours deploy them ([how to](../how-to/command-executor.md)). A component's settings stand under
        `environments.<name>.targets.<target>.components.<component>` of `relman.yaml`.
        """,
        listed(),
    )


def manifest_page() -> str:
    """Return the page on the file that `relman apply` takes."""

    def listed() -> Iterator[str]:
        for model in (manifest.Manifest, *filter(is_part, vars(manifest).values())):
            name = "The file" if model is manifest.Manifest else model.__name__
            yield from (f"## {name}", "", *doc(model).splitlines(), "", *fields_table(model))

    return page(
        "relman.yaml",
        """
        What `relman apply FILE` reads. Everything is optional; what the file does not name stays as it is. An unknown
        key is refused with its line. At most 1,000,000 bytes, 50,000 values (what aliases repeat counts again) and 60
        levels are read. Components' settings are in [Settings](settings.md), options in [Strategies](strategies.md).
        """,
        listed(),
    )


def is_part(thing: object) -> bool:
    """Return True for a model of a part of the file."""
    own = isinstance(thing, type) and issubclass(thing, BaseModel) and thing.__module__ == manifest.__name__
    return own and thing is not manifest.Manifest


def queries() -> str:
    """Every query."""

    def listed() -> Iterator[str]:
        for name, query in sorted(QUERIES.items()):
            yield from (f"## {name}", "", query.meaning.replace("DORA five", "[DORA five](../discussions/dora.md)"), "")
            yield from fields_table(query.params)
            found = ", ".join(f"`{column}`" for column in query.answer_columns())
            yield from (f"Each row has: {found}.", "")

    return page(
        "Queries",
        """
        Questions by name, to the read models, or to the log itself where that is said. On the bus: a request to
        `relman.ask.query.<name>` with `{"params": {…}, "after": 0}`; the answer is `{"answer": [rows]}`, or
        `{"error": "what is wrong", "code": "invalid"}` with one of [the codes](errors.md). `after` is a
        position: the answer waits until the read model has taken in the log up to it, so you read what you wrote.
        An answer is a page: at most `limit` rows, and at most 200 kB of them. Where there are more, `"next_cursor"`
        stands beside the rows: ask again with the same parameters and that `cursor`, until there is none. A cursor
        names the last row that was given, so that what is added meanwhile skips and doubles nothing; a row that itself
        takes another place in the order meanwhile may be told twice, or not at all. A cursor of another query, or of
        other parameters, is refused.
        With `"unfinished": true` the last row is longer than the page: the first row of the next page holds what
        follows in its lists and mappings, to be put behind them. Where such a row was changed meanwhile, the cursor is
        refused: begin again.
        Rows show people's names and opened texts; columns that hold nothing may be absent or null.
        """,
        listed(),
    )


def bus() -> str:
    """Subjects, headers, streams, orders and reports."""

    def listed() -> Iterator[str]:
        yield from ("## Subjects", "", "| subject | what it is for |", "|---|---|")
        for subject in (
            f"{streams.ASK_COMMAND}.<name>",
            streams.ASK_OUTCOME,
            f"{streams.ASK_QUERY}.<name>",
            streams.ASK_CONTENT,
            streams.ASK_DEAD_LETTERS,
            streams.REPLAY_DEAD_LETTERS,
            f"{streams.COMMAND_SUBJECTS}.<name>",
            f"{streams.EVENT_SUBJECTS}.<name>",
            f"{streams.ORDER_SUBJECTS}.<executor>.<environment>",
            f"{streams.REPORT_SUBJECTS}.<executor>",
            f"{streams.LOOK_SUBJECTS}.<executor>",
            f"{streams.SYSTEM_SUBJECTS}.<name>",
            streams.DEAD_LETTER,
            f"{streams.DEAD_ORDERS}.<executor>",
        ):
            yield row(f"`{subject}`", Meanings.of("subjects", subject))
        yield from ("", "## Headers", "", "| header | meaning |", "|---|---|")
        ours_and_theirs = (streams.ACTOR, streams.PATIENCE, streams.REPLY_TO, streams.POSITION, streams.CONTENT_TYPE)
        for header in (*ours_and_theirs, "Nats-Msg-Id"):
            yield row(f"`{header}`", Meanings.of("headers", header))
        yield from ("", "A command with another header that begins with `Relman-`, in any case of letters, with one of")
        yield "these twice, or with headers that cannot be read, is a dead letter. What a client writes into a header"
        yield "that the server uses itself (`Status`, `Nats-…`) means nothing to a reader."
        yield from ("", "## Streams", "", "| stream | holds | kept | when full |", "|---|---|---|---|")
        for config in streams.configurations(clients=("<name>",)):
            kept = "until taken" if config.retention == RetentionPolicy.WORK_QUEUE else "the newest"
            full = "new messages are refused" if str(config.discard).lower().endswith("new") else "the oldest go"
            size = f"{(config.max_bytes or 0) // streams.MEBIBYTE:,} MiB"
            age = f", {config.max_age / streams.DAY:g} days" if config.max_age else ""
            yield row(f"`{config.name}`", f"{config.description}", f"{kept}, at most {size}{age}", full)
        yield from ("", "## Users", "")
        yield "Every role has a user of its own, and so has every client to whom `relman up --client NAME` or"
        yield "`relman nats-config --client NAME` gave one; all other clients share one. What is not named here is"
        yield "forbidden. Every executor and every client with a name has an account of its own. Those who share the"
        yield "user `client` have one together; the answers that they get do not leave it. What a client with a name"
        yield "sends comes to the roles on `relman.from.<name>.…`."
        yield "`relman nats-config` prints all of it, with the server's own subjects (`$JS…`), for a server of yours."
        yield from ("", "| user | may publish | may subscribe |", "|---|---|---|")
        named = {
            "client-<name>": permissions.client("client-<name>"),
            "executor-<name>": permissions.executor("<name>"),
        }
        for user, allowed in {**permissions.USERS, **named}.items():
            yield row(f"`{user}`", *(ours(subjects) for subjects in (allowed.publish, allowed.subscribe)))
        yield from ("", "## An order", "", *doc(orders.Order).splitlines(), "")
        yield from fields_table(orders.Order)
        yield from ("## A report", "", *doc(orders.Report).splitlines(), "")
        yield from fields_table(orders.Report)

    return page(
        "The bus",
        """
        `relman up` starts a NATS server on 127.0.0.1. Its URL, with a password, stands in `.relman/nats.url`, readable
        by the owner only. A message may have 256 KiB.
        How to use it from a service: [Publish commands from a service](../how-to/publish-commands-from-a-service.md).
        All messages with their JSON Schemas: [AsyncAPI](asyncapi.md).
        """,
        listed(),
    )


def ours(subjects: Iterable[str]) -> str:
    """The subjects that are not the server's own."""
    return ", ".join(f"`{subject}`" for subject in subjects if not subject.startswith("$")) or "–"


def errors_page() -> str:
    """Return the page on error codes."""

    def listed() -> Iterator[str]:
        yield from ("| code | meaning | exit code |", "|---|---|---|")
        yield from (row(f"`{code}`", code.meaning, EXITS.get(code, f"{REFUSED}")) for code in ErrorCode)
        yield ""

    return page(
        "Errors",
        """
        Whatever is refused or goes wrong says one sentence for people, and beside it a code for programs. Sentences may
        change; the list of codes is closed, and what a code means stays. The code stands in the
        [outcome](commands.md#the-outcome) of a command (`code`), beside `"error"` and in `not_understood` answers on
        the bus, in dead letters, in the event [command.refused](events.md#commandrefused), as `error.code` of every
        `RelmanError` in Python (`Refused`, `NotReachableError` and `NotFinishedError` are some), and with `--json` in
        `{"error": {"kind": …, "code": …, "reason": …, "exit": …}}`.

        Outcomes, events and dead letters of before there were codes have none: `null`, or no field.

        A command line of `relman` ends with 0 where it is done. It ends with 2 where the command line itself is wrong,
        with 3 where nobody answered, whatever kept them from it, with 4 where what was waited for has not happened in
        time, and with 1 for everything else.
        """,
        listed(),
    )


def asyncapi_page() -> str:
    """Return the page on the AsyncAPI document."""

    def listed() -> Iterator[str]:
        yield from ("| channel | subject | relman | with whom | messages | answers |", "|---|---|---|---|---|---|")
        for channel in asyncapi.CHANNELS:
            address = channel.address.replace("{", "<").replace("}", ">")
            yield row(
                f"`{channel.key}`",
                f"`{address}`",
                "receives" if channel.received else "sends",
                ", ".join(channel.users) or "–",
                f"{len(channel.messages)}" if len(channel.messages) > 1 else f"`{channel.messages[0]}`",
                ", ".join(f"`{answer}`" for answer in channel.answers) or "–",
            )

    return page(
        "AsyncAPI",
        """
        `relman asyncapi` prints everything that goes over the bus as an [AsyncAPI 3.0](https://www.asyncapi.com)
        document, `relman asyncapi --yaml` the same as YAML. It is made from the models that read and write the
        messages. Every command, event, query, order and report has a payload schema of its own (JSON Schema draft-07)
        under `components.schemas`: `command.deployment.deploy`, `event.deployment.started`, `query.releases`, `order`.

        ```console
        $ relman asyncapi > asyncapi.json
        ```

        A query's rows are only said to be objects; their columns stand in [Queries](queries.md). A reply goes to the
        inbox that the request names, so its channel has no address. Streams stand under `x-jetstream`, for which
        AsyncAPI has no words.
        """,
        listed(),
    )


def metrics() -> str:
    """Return the page on the roles' metrics."""

    def listed() -> Iterator[str]:
        yield from ("| metric | kind | labels | meaning |", "|---|---|---|---|")
        for made in vars(telemetry).values():
            if isinstance(made, MetricWrapperBase):
                [family] = made.describe()
                labels = ", ".join(f"`{label}`" for label in made._labelnames) or "–"
                total = "_total" if family.type == "counter" else ""
                yield row(f"`{family.name}{total}`", family.type, labels, family.documentation)
        yield ""

    return page(
        "Metrics",
        """
        What every role exposes at `/metrics` of its `--http` address, beside what the Prometheus client says of every
        Python process. How to read them: [Run it large](../how-to/run-large.md#probes-and-metrics).
        """,
        listed(),
    )


def types_page() -> str:
    """The words and the shapes that the other pages speak of."""

    def listed() -> Iterator[str]:
        yield from ("## Words", "", "| word | what it allows |", "|---|---|")
        yield from (row(word, meaning) for word, _, meaning in WORDS if meaning)
        yield ""
        steps, actions = list(plan.STEPS.values()), list(plan.ACTIONS.values())
        for model in SHAPES:
            if model is steps[0]:
                yield from ("## Steps", "", "A plan's steps; `verb` says which.", "")
            if model is actions[0]:
                yield from ("## Actions", "", "What an executor is ordered to do; `verb` says which.", "")
            mark = "###" if model in (*steps, *actions) else "##"
            yield from (f"{mark} {model.__name__}", "", *doc(model).splitlines(), "")
            yield from fields_table(model)

    return page("Types", "What the fields of events, commands and settings may hold.", listed())


def python() -> str:
    """`ReleaseManager` and what it returns."""

    def listed() -> Iterator[str]:
        yield from ("## ReleaseManager", "", f"```text\nReleaseManager{signature(ReleaseManager.__init__)}\n```", "")
        yield from (*doc(ReleaseManager).splitlines(), "")
        for name, method in (found for part in ReleaseManager.__mro__ for found in vars(part).items()):
            function = method.__func__ if isinstance(method, classmethod) else method
            if name.startswith("_") or not inspect.isfunction(function):
                continue
            yield from (f"### {name}", "", f"```text\n{name}{signature(function)}\n```", "")
            yield from (*doc(function).splitlines(), "")
        for name in release_management.__all__:
            thing = getattr(release_management, name)
            if thing is ReleaseManager:
                continue
            yield from (f"## {name}", "", *doc(thing).splitlines(), "")
            if issubclass(thing, View):
                yield "Fields: " + ", ".join(f"`{field}`" for field in thing.model_fields) + "."
                yield ""

    return page(
        "Python",
        """
        `from release_management import ReleaseManager`. What it returns is typed and immutable; `print` shows it, and
        `model_dump()` gives plain data.
        """,
        listed(),
    )


def signature(function: Callable[..., Any]) -> str:
    """A signature as it is written, without `self`, one parameter a line where it is long."""
    [node] = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(node, ast.FunctionDef)
    node.args.args = node.args.args[1:]
    returned = f" -> {ast.unparse(node.returns)}" if node.returns and ast.unparse(node.returns) != "None" else ""
    args = ast.unparse(node.args).replace("'", '"')
    if len(args) < 80:
        return f"({args}){returned}"
    parts = re.split(r", (?=(?:\*, )?\w+: )", args)
    return "(\n" + "".join(f"    {part},\n" for part in parts) + f"){returned}"


@dataclass(frozen=True, slots=True)
class Written:
    """A page: its file name and what makes its text."""

    name: str
    make: Callable[[], str]


PAGES = (
    Written("events.md", events),
    Written("commands.md", commands),
    Written("strategies.md", strategies),
    Written("settings.md", settings),
    Written("relman-yaml.md", manifest_page),
    Written("queries.md", queries),
    Written("bus.md", bus),
    Written("errors.md", errors_page),
    Written("asyncapi.md", asyncapi_page),
    Written("metrics.md", metrics),
    Written("types.md", types_page),
    Written("python.md", python),
)


def main(arguments: list[str]) -> int:
    """Write the pages, or with `--check` compare them."""
    made = {HERE / written.name: written.make() for written in PAGES}
    if unused := Meanings.unused():
        raise LookupError(f"docs/reference/meanings.toml speaks of what there is not: {', '.join(unused)}")
    stale = {path: text for path, text in made.items() if not path.exists() or path.read_text() != text}
    if "--check" not in arguments:
        for path, text in stale.items():
            path.write_text(text)
        return 0
    for path, text in stale.items():
        before = path.read_text().splitlines() if path.exists() else []
        print(*difflib.unified_diff(before, text.splitlines(), path.name, "the code", lineterm="", n=0), sep="\n")
    if stale:
        print("write them anew with: python docs/reference/generate.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
