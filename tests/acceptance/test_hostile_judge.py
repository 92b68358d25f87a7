"""The messages of `make chaos ARGS=hostile`, and its judge, which is shown faults, and finds them."""

import json
import random
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from chaos.hostile import (
    arguments,
    commands,
    damage,
    headers,
    jetstream,
    logs,
    mail,
    manifests,
    questions,
    subjects,
    typist,
)
from chaos.hostile.attacker import Sent, is_honest, read, written
from chaos.hostile.command import main, options, ordered
from chaos.hostile.honest import APPLICATION, ASKED, ENVIRONMENT, Heard
from chaos.hostile.judge import STRICT, Limits, Phase, faults
from chaos.hostile.wire import HungUp, Message, Wire
from release_management.services.envelope import Outcome
from release_management.services.use_cases import COMMANDS

SEED = 3


def drawn(make: Callable[[random.Random], Any], times: int = 400) -> list[Any]:
    return [make(random.Random(f"{SEED}/{number}")) for number in range(times)]


def first(kind: str) -> Message:
    return next(each for number in range(10_000) if (each := mail.message(SEED, number)).kind == kind)


# What is sent


@pytest.mark.parametrize("kind", mail.NAMES)
def test_a_message_is_the_same_each_time_that_it_is_made_and_another_one_of_another_seed(kind: str) -> None:
    number = next(number for number in range(10_000) if mail.message(SEED, number).kind == kind)
    made = mail.message(SEED, number)

    assert made == mail.message(SEED, number)
    assert made != mail.message(SEED + 1, number)
    assert len(made.payload) + len(made.headers or b"") <= mail.MOST_BYTES


def test_a_message_is_written_as_the_protocol_has_it() -> None:
    assert Message("", b"a.b", b"cd").frame() == b"PUB a.b 2\r\ncd\r\n"
    assert Message("", b"a", b"cd", b"NATS/1.0\r\n\r\n", b"r").frame() == b"HPUB a r 12 14\r\nNATS/1.0\r\n\r\ncd\r\n"


def test_no_subject_of_a_message_ends_its_line() -> None:
    for number in range(3_000):
        made = mail.message(SEED, number)
        line = made.frame().partition(b"\r\n")[0]
        assert line.count(b" ") == 2 + (made.headers is not None) + bool(made.reply), made


def test_headers_that_look_like_a_servers_status_are_among_them() -> None:
    blocks = drawn(headers.status)
    for status in (b"Status: 409\r\n", b"Status: 408\r\n", b"Status: 100\r\n", b"Status: 503\r\n"):
        assert any(status in block for block in blocks)
    lines = {block.partition(b"\r\n")[0] for block in drawn(headers.first_line)}
    assert {b"NATS/1.0 \xff", b"", b"NATS/1.0 408 Request Timeout", b"NATS/2.0"} <= lines


def test_every_command_and_attribute_and_every_subject_of_a_client_is_tried() -> None:
    sent = [commands.mutated_data(random.Random(number)) for number in range(1_500)]
    assert {name for name, _ in sent} == set(COMMANDS)
    whole = [json.loads(values) for _, values in drawn(lambda chance: ("", json.dumps(commands.command(chance)[1])))]
    assert {attribute for event in whole for attribute in event} <= set(commands.ATTRIBUTES)
    reached = {pattern for pattern in subjects.ALLOWED for made in drawn(subjects.hostile) if _begins(made, pattern)}
    assert reached == set(subjects.ALLOWED)


def _begins(subject: bytes, pattern: str) -> bool:
    return subject.startswith(pattern.partition("*")[0].partition(">")[0].encode())


def test_the_judge_finds_no_fault_in_what_the_honest_client_has() -> None:
    for name in COMMANDS:
        text = json.dumps([commands.data(name, random.Random(number)) for number in range(30)])
        assert f'"{APPLICATION}' not in text
        assert f'"{ENVIRONMENT}' not in text


def test_questions_ask_for_too_much_and_requests_for_what_is_not_theirs() -> None:
    asked = [json.loads(payload) for _, payload in drawn(questions.question)]
    assert any(each.get("limit") == 1_000 for each in asked)
    assert len(questions.flood(random.Random(1))) == 1_500
    assert any("RELMAN_COMMANDS" in subject for subject, _ in drawn(jetstream.asked))


def test_every_command_line_is_typed_and_can_be_handed_over_by_a_shell() -> None:
    lines = [arguments.command_line(SEED, number) for number in range(2_000)]
    names = {names for names, _ in arguments.COMMANDS}

    assert {names for names in names for line in lines if tuple(line[: len(names)]) == names} == names
    assert not any("\x00" in word for line in lines for word in line)
    assert lines[7] == arguments.command_line(SEED, 7)


def test_a_file_is_the_same_each_time_and_the_good_one_is_good(tmp_path: Path) -> None:
    from release_management.cli.kit.manifest_file import read_file

    assert manifests.manifest(SEED, 5) == manifests.manifest(SEED, 5)
    assert len({manifests.manifest(SEED, number) for number in range(100)}) > 50
    (tmp_path / "good.yaml").write_text(manifests.GOOD)
    assert read_file(str(tmp_path / "good.yaml"))


def test_one_message_can_be_sent_alone() -> None:
    only = ordered(options(["--seed", "4", "--only", "17"]), 4)
    assert (only.first, only.last, only.rounds) == (17, 18, 0)
    whole = ordered(options(["--messages", "50000", "--store", "postgres"]), 4)
    assert (whole.first, whole.last, whole.rounds) == (0, 50_000, 2)
    assert ordered(options(["--minutes", "60"]), 4).seconds == 3_600


def test_a_result_can_be_parsed_from_its_line() -> None:
    sent = Sent(by_kind=Counter(a=2), acts=Counter(b=1), answers=3, next=4, seconds=1.5, over=True)
    assert read(written(sent)) == sent


# The wire


@contextmanager
def server(*answers: bytes) -> Iterator[str]:
    """Something that greets, and answers each PING with the next of these bytes; then it hangs up."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with closing(listening.accept()[0]) as client, client.makefile("rb") as lines:
            client.sendall(b"INFO {}\r\n")
            for answer in (b"PONG\r\n", *answers):
                while lines.readline() != b"PING\r\n":
                    pass
                client.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"nats://client:word@127.0.0.1:{listening.getsockname()[1]}"
    finally:
        thread.join()
        listening.close()


def test_messages_on_the_wire_are_heard_even_with_headers_and_refusals_are_counted() -> None:
    heard: list[tuple[bytes, bytes]] = []
    came = b"MSG a.b 1 3\r\n\r\nx\r\nHMSG c 1 r 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"
    refusal = b"-ERR 'Permissions Violation for Publish to \"x\"'\r\n"

    def hear(subject: bytes, payload: bytes) -> None:
        heard.append((subject, payload))

    with server(came + refusal + refusal + b"PONG\r\n") as url, Wire(url, hear) as wire:
        wire.publish([Message("", b"a", b"b")])

    assert heard == [(b"a.b", b"\r\nx"), (b"c", b"hi")]
    assert wire.refused == {"Permissions Violation for Publish": 2}


def test_a_server_that_hangs_up_is_noticed_with_its_last_words() -> None:
    with server(b"-ERR 'Unknown Protocol Operation'\r\n") as url, Wire(url) as wire, pytest.raises(HungUp, match="Unk"):
        wire.publish([Message("", b"a")])


# The judge


def good(name: str = "under fire") -> Phase:
    phase = Phase(name)
    for kind in ASKED:
        phase.heard.seconds[kind] = [0.01] * 99 + [0.02]
    phase.heard.deployments = [2.0]
    phase.before = phase.after = {"road": 100}
    return phase


def test_the_judge_finds_nothing_if_nothing_is_wrong() -> None:
    assert faults(good("calm"), [good()], Sent()) == []


def slow(phase: Phase) -> None:
    phase.heard.seconds["query"][-2:] = [0.5, 0.5]


def unanswered(phase: Phase) -> None:
    phase.heard.wrong.append("query: no answer within 60 s")


def never_asked(phase: Phase) -> None:
    del phase.heard.seconds["command"]


def late(phase: Phase) -> None:
    phase.heard.deployments.append(31.0)


def never_deployed(phase: Phase) -> None:
    phase.heard.deployments.clear()


def restarted(phase: Phase) -> None:
    phase.restarts["projector"] = 1


def complained(phase: Phase) -> None:
    phase.errors["road: answering failed"] = 3


def silent(phase: Phase) -> None:
    phase.silent.append(20.0)


def mute(phase: Phase) -> None:
    phase.mute["road"] = 1


def ill(phase: Phase) -> None:
    phase.troubles.append("road: bus: it is away")


def grown(phase: Phase) -> None:
    phase.after = {"road": 600}


def littered(phase: Phase) -> None:
    phase.letters = {"messages": 10_001, "bytes": 1}


@pytest.mark.parametrize(
    ("fault", "findings"),
    [
        (slow, "the slowest hundredth of query answers took 0.50 s"),
        (unanswered, "query: no answer within 60 s"),
        (never_asked, "no command was answered"),
        (late, "a canary took 31.0 s; 30.0 s are right"),
        (never_deployed, "no deployment was finished"),
        (restarted, "projector was begun again 1 times"),
        (complained, "the log says 3 times: road: answering failed"),
        (silent, "all were well, and somebody waited for 20 s"),
        (mute, "the health of road did not answer 1 times"),
        (ill, "the health says at the end: road: bus: it is away"),
        (grown, "500 MiB more are in memory than before"),
        (littered, "the dead letters are without bounds"),
    ],
)
def test_the_judge_finds_it(fault: Callable[[Phase], None], findings: str) -> None:
    phase = good()
    fault(phase)

    [found] = faults(good("calm"), [phase], Sent())
    assert found.startswith(f"under fire: {findings}")


def test_ten_times_what_it_takes_in_calm_is_right() -> None:
    calm, phase = good("calm"), good()
    slow(phase)
    late(phase)
    calm.heard.seconds["query"][-2:] = [0.06, 0.06]
    calm.heard.deployments.append(4.0)

    assert faults(calm, [phase], Sent()) == []
    assert len(faults(good("calm"), [phase], Sent())) == 2
    assert faults(good("calm"), [phase], Sent(), Limits(answer=1.0, deployment=40.0)) == []


def test_a_calm_that_is_none_and_an_attacker_who_learns_something_are_faults() -> None:
    calm = good("calm")
    never_deployed(calm)
    sent = Sent(ours=Counter({"answering failed, by a fault of ours": 2}), overheard=1)

    assert len(faults(calm, [], sent, STRICT)) == 3


def test_an_overheard_outcome_of_the_honest_clients_commands_is_recognised() -> None:
    outcome = Outcome(status="accepted", sender="client:honest:honest", id="1", command="release.create")
    for sender, honest in (("client:honest:honest", True), ("honest", False), ("hostile", False)):
        assert is_honest(outcome.model_copy(update={"sender": sender}).model_dump_json().encode()) is honest
    assert not is_honest(b'{"answer": [{"application": "honest"}]}')


def test_percentiles_are_of_all_answers() -> None:
    heard = Heard(seconds={"a": [float(n) for n in range(1, 100)], "b": [100.0]})
    assert [heard.percentile(share) for share in (0.5, 0.99, 1.0)] == [50.0, 99.0, 100.0]
    assert heard.percentile(0.5, ("b",)) == 100.0


# The logs and the command line


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b'{"event": "standing", "level": "info"}', None),
        (b'{"event": "bus trouble", "level": "warning"}', None),
        (b'{"event": "dead letter lost", "level": "error", "reason": "full"}', "dead letter lost: full"),
        (b'{"event": "x", "level": "warning", "exception": "Traceback\\nValueError: y"}', "x: ValueError: y"),
        (b"Traceback (most recent call last):", "Traceback (most recent call last):"),
        (b"relman: waiting", None),
        (b"[1]", None),
    ],
)
def test_a_line_that_owns_up_to_a_fault_is_told_from_others(line: bytes, found: str | None) -> None:
    assert logs.fault(line) == found


def test_logs_are_read_on_and_from_the_beginning_where_they_were_emptied(tmp_path: Path) -> None:
    file, read = tmp_path / "road.log", logs.Logs(tmp_path)
    file.write_text('{"event": "a", "level": "error"}\n{"event": "half')
    read.read()
    assert (read.lines, read.errors) == (1, {"road: a: ": 1})
    with file.open("a") as more:
        more.write('", "level": "error"}\n')
    read.read()
    file.write_text('{"event": "a", "level": "error"}\n')
    read.read()
    assert (read.lines, read.errors) == (3, {"road: a: ": 2, "road: half: ": 1})


@pytest.mark.parametrize(
    ("answer", "findings"),
    [
        (typist.Typed(0, "well\n", 0.1), []),
        (typist.Typed(2, "relman: no such option\n", 0.1), []),
        (typist.Typed(None, "", 0.1, "Traceback …\nValueError: x"), ["it ended with ValueError: x"]),
        (typist.Typed(7, "what\n", 0.1), ["its exit code is 7"]),
        (typist.Typed(1, "\n", 0.1), ["it ended with code 1 and said nothing"]),
        (typist.Typed(1, "Traceback (most recent", 0.1), ["it printed a traceback"]),
        (typist.Typed(0, "a\x1b[2J\u202e", 0.1), [r"it printed raw what a terminal obeys: ['\x1b', '\u202e']"]),
        (typist.Typed(0, "well", 61.0), ["it took 61 s"]),
        (typist.Typed(3, "relman: nobody there\n", 5.0), []),
        (typist.Typed(3, "relman: busy\n", 30.4), ["it waited 30 s for an answer in vain: relman: busy"]),
    ],
)
def test_faults_of_a_command_line_are_found(answer: typist.Typed, findings: list[str]) -> None:
    assert list(typist.wrong(answer)) == findings


@pytest.mark.parametrize(
    ("ready", "findings", "found"),
    [
        (True, "relman is up", []),
        (False, "relman: log.db is damaged", []),
        (False, " \n", ["it gave up and said nothing"]),
        (False, "Traceback …\nValueError: x", ["it printed a traceback: ValueError: x"]),
        (None, "waiting", ["it neither serves nor gives up within 60 s: 'waiting'"]),
    ],
)
def test_a_start_on_damaged_files_must_serve_or_say_what_is_wrong(
    ready: bool | None, findings: str, found: list[str]
) -> None:
    assert list(damage.judged(ready, findings)) == found


def test_each_file_that_is_the_truth_is_damaged_in_each_way_and_others_at_random() -> None:
    planned = list(damage.damages(SEED, 20))
    assert len(planned) == 20
    assert planned == list(damage.damages(SEED, 20))
    for name in damage.TRUTH:
        assert {how for file, how in planned if file == name} == {damage.emptied, damage.torn, damage.scribbled}
    assert {file for file, _ in planned} > set(damage.TRUTH)


@pytest.mark.parametrize("how", damage.DAMAGES)
def test_a_damaged_file_is_another_one(how: damage.Damage, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content" * 100)
    how(file, random.Random(1))
    assert file.is_dir() or file.read_bytes() != b"content" * 100


def test_help_says_what_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    findings = capsys.readouterr().out
    for option in ("--messages", "--minutes", "--seed", "--only", "--store"):
        assert option in findings
