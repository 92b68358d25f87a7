"""`relman up --pass-env`: the operator says which variables of the shell executors get, and no other one goes there."""

import psutil
import yaml

from release_management.runtime.data_directory import DataDirectory
from release_management.runtime.supervisor import running_parts
from tests.acceptance.cli.conftest import Types
from tests.acceptance.cli.harness import CommandLine, until


def refer_to_the_key(cli: CommandLine) -> None:
    """The environment's processes are to get `API_KEY` from the executor's `SHOP_API_KEY`."""
    cli.init()
    file = cli.folder / "relman.yaml"
    stated = yaml.safe_load(file.read_text())
    stated["environments"]["staging"]["variables"] = {"API_KEY": "env:SHOP_API_KEY"}
    file.write_text(yaml.safe_dump(stated))


def test_deployed_processes_can_use_a_passed_variable_and_a_missing_one_is_explained(cli: CommandLine) -> None:
    refer_to_the_key(cli)
    cli.environment |= {"SHOP_API_KEY": "hk-9fQ2-w7Zp", "AWS_SECRET_ACCESS_KEY": "hunter22"}

    up = cli.done("up", "--detach", "--pass-env", "SHOP_*", "--pass-env", "SHOP_API_KEZ")
    cli.done("deploy", "shop@1.0.0", "staging", "--wait")
    [keys] = [env["API_KEY"] for env in map(environ, cli.children()) if env.get("RELMAN_VERSION") == "1.0.0"]
    parts = {name: environ(process) for name, process in running_parts(DataDirectory(cli.data))}
    cli.done("down")

    assert up.err == "relman: --pass-env SHOP_API_KEZ: there is no such variable here; executors start without it\n"
    assert keys == "hk-9fQ2-w7Zp"
    assert {name for name, env in parts.items() if "SHOP_API_KEY" in env} == {"road"}
    assert not any("AWS_SECRET_ACCESS_KEY" in env for env in parts.values())

    cli.done("up", "--detach")
    until(lambda: sentence(cli) is not None)
    assert sentence(cli) == "set it and let it through: relman up --pass-env SHOP_API_KEY"


def test_neither_our_own_variables_nor_what_is_no_name_is_let_through(relman: Types) -> None:
    for name, why in {"RELMAN_*": "which is ours", "A=B": "is no name of a variable"}.items():
        told = relman("up", "--pass-env", name)

        assert told.code == 2
        assert "--pass-env" in told.err
        assert why in told.err


def sentence(cli: CommandLine) -> str | None:
    """Return the advice of `relman env show` about a missing variable."""
    text = " ".join(cli.relman("env", "show", "staging").out.split())
    _, found, rest = text.partition("refers to env:SHOP_API_KEY, which the executor's environment lacks; ")
    return rest.partition(" target ")[0] if found else None


def environ(process: psutil.Process) -> dict[str, str]:
    """Return the environment of a process."""
    try:
        return process.environ()
    except psutil.Error:
        return {}
