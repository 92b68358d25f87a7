"""A process loads only the libraries that it uses: loading is most of what a command takes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARIES = ("nats", "psycopg", "pydantic", "pygments", "rich", "sqlalchemy", "structlog", "typer")
TYPE = "from release_management.cli import main\nmain()"
ROLE = (
    "from release_management.adapters.system.lean_imports import load_structlog\nload_structlog()\n"
    "from release_management.runtime.roles import process"
)


def loaded(program: str, folder: Path, *arguments: str) -> set[str]:
    """Which of the libraries a program has loaded when it ends."""
    told = f"import atexit, json, sys\natexit.register(lambda: print(json.dumps(list(sys.modules))))\n{program}"
    words = [sys.executable, "-c", told, *arguments]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    modules = json.loads(done.stdout.splitlines()[-1])
    return {library for library in LIBRARIES if library in modules}


def test_help_loads_only_the_library_of_the_command_line(tmp_path: Path) -> None:
    assert loaded(TYPE, tmp_path, "--help") == {"typer"}


def test_a_question_loads_no_database(tmp_path: Path) -> None:
    libraries = loaded(TYPE, tmp_path, "deployment", "list")

    assert "nats" in libraries, "it has looked for an installation"
    assert not libraries & {"sqlalchemy", "pygments"}


def test_roles_on_files_load_neither_postgresql_nor_what_formats_for_people(tmp_path: Path) -> None:
    roles = "\nfrom release_management.runtime.roles import all_in_one, projector"
    libraries = loaded(ROLE + roles, tmp_path)

    assert {"structlog", "sqlalchemy"} <= libraries
    assert not libraries & {"psycopg", "rich", "pygments", "typer"}


@pytest.mark.parametrize("first", ["structlog", "rich"])
def test_rich_stays_for_a_program_that_has_loaded_either(first: str, tmp_path: Path) -> None:
    program = ROLE.replace("load_structlog()", f"import {first}\nload_structlog()\nimport rich.traceback")

    assert "rich" in loaded(program, tmp_path)
