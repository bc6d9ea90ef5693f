"""What holds for every file: small, explained, and found where the package looks for it."""

import ast
import re
import runpy
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from app import paths

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*ROOT.glob("app/**/*.py"), *ROOT.glob("migrations/**/*.py"), *ROOT.glob("bench/**/*.py")])
FILES = [path for path in SOURCES if "_data" not in path.parts]
LOCKS = ["requirements.lock", "requirements-dev.lock"]


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))


def test_no_file_is_over_400_lines() -> None:
    sizes = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in FILES}
    assert {name: size for name, size in sizes.items() if size > 400} == {}


def test_no_function_is_over_40_lines() -> None:
    long = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = body[-1].end_lineno - body[0].lineno + 1 if body and body[-1].end_lineno else 0
                if lines > 40:
                    long.append(f"{path.relative_to(ROOT)}:{node.name} has {lines}")
    assert long == []


def test_the_laws_that_files_name_stand_in_contributing() -> None:
    laws = re.findall(r"^(\d+)\. ", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert laws == [str(number) for number in range(1, 14)]
    named = {number for path in FILES for number in re.findall(r"\blaw (\d+)", path.read_text())}
    assert named <= set(laws)


def test_what_migrate_runs_sees_the_servers_settings_and_files() -> None:
    """A recovery with Docker Compose runs there, and forgives only the anchor that it sees."""
    services = YAML(typ="safe").load(ROOT / "docker-compose.yml")["services"]
    there, servers = services["migrate"], services["askfirst"]
    assert there["volumes"] == servers["volumes"]
    assert there["env_file"] == servers["env_file"]
    url = "ASKFIRST_DATABASE_URL"
    assert {**there["environment"], url: ""} == {**servers["environment"], url: ""}


def test_templates_and_migrations_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert paths.TEMPLATES.is_dir()
    assert paths.MIGRATIONS.is_dir()


def test_an_installed_package_reads_its_own_copy_of_the_templates(tmp_path: Path) -> None:
    (tmp_path / "app" / "_data" / "templates").mkdir(parents=True)
    (tmp_path / "migrations").mkdir()
    shutil.copy(ROOT / "app" / "paths.py", tmp_path / "app" / "paths.py")
    found = runpy.run_path(str(tmp_path / "app" / "paths.py"))
    assert found["TEMPLATES"] == tmp_path / "app" / "_data" / "templates"
    assert found["MIGRATIONS"] == tmp_path / "migrations"


@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.threat("L4")
def test_a_lock_holds_a_hash_for_each_release_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    releases = [entry for entry in re.split(r"\n(?=\S)", text) if not entry.startswith("#")]
    assert [entry.splitlines()[0] for entry in releases if "--hash=sha256:" not in entry] == []
    assert re.findall(r"\S*(?:://|--index|--find-links)\S*", text) == []


def test_both_locks_name_the_same_releases() -> None:
    runs, develops = (pins(lock) for lock in LOCKS)
    assert runs.items() <= develops.items()
