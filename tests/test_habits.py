"""What CONTRIBUTING.md and the files of .github/ say is so, and imports lead down."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tiny import ROOT, load_script

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
PACKAGE = ROOT / "mmswinv2"
# In functions alone, for the reasons that stand beside them.
UPWARD = {("models", "planning"), ("apis", "pretraining"), ("apis", "video")}
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml"))
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())


def rooms() -> dict[str, int]:
    """Floors of rooms, from the table; the highest number is the top."""
    house = PAGE.partition("## The house")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", house, re.MULTILINE)
    return {
        name: floor
        for floor, row in enumerate(reversed(rows))
        for name in re.findall(r"`(\w+)`", row)
    }


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Rooms that a file imports from, and whether not as it is imported itself."""
    tree = ast.parse(path.read_text())
    inside = {
        id(node)
        for later in ast.walk(tree)
        if isinstance(later, ast.FunctionDef)
        or (isinstance(later, ast.If) and ast.unparse(later.test) == "TYPE_CHECKING")
        for node in ast.walk(later)
    }
    here = ["mmswinv2", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            names = [f"{module}.{alias.name}" for alias in node.names]
        for name in names:
            first, *rest = name.split(".")
            if first == "mmswinv2" and rest and rest[0] in ROOMS:
                yield rest[0], id(node) in inside


ROOMS = rooms()


def test_every_room_has_a_floor() -> None:
    found = {room_of(path) for path in PACKAGE.rglob("*.py")}
    assert set(ROOMS) == found - {"__init__", "__main__"}


def test_imports_lead_down() -> None:
    """To lower floors alone, so that no two rooms need each other."""
    found = [
        (room_of(path), room, lazy, path)
        for path in PACKAGE.rglob("*.py")
        if room_of(path) in ROOMS
        for room, lazy in imports(path)
    ]
    assert len(found) > 300
    upward = set()
    for here, room, lazy, path in found:
        if here != room and ROOMS[room] >= ROOMS[here]:
            assert lazy, f"{path} imports from {room}, which is no floor below"
            upward.add((here, room))
    assert upward == UPWARD


def test_files_are_small() -> None:
    lines = {path: path.read_text().count("\n") for path in PACKAGE.rglob("*.py")}
    assert max(lines.values()) <= 400
    assert sorted(lines.values())[len(lines) // 2] <= 150


NAMED = re.findall(
    r"((?:`\w+`(?:, | and | or )?)+) (?:in|of)\s+\[[^]]*\]\(([\w/.-]+)\)",
    PAGE.replace("\n   ", " ").replace("\n", " "),
)


@pytest.mark.parametrize(("names", "file"), NAMED, ids=lambda value: value[-40:])
def test_names_are_where_the_page_says(names: str, file: str) -> None:
    text = (ROOT / file).read_text()
    for name in re.findall(r"`(\w+)`", names):
        is_made = rf"^(?:def|class) {name}\b|^{name}(?:: [^=]+)? = "
        assert re.search(is_made, text, re.MULTILINE), f"{name} in {file}"


def test_the_page_names_what_it_takes() -> None:
    """The pattern above finds the steps of all three examples."""
    assert {"LAYOUTS", "IMPLEMENTATIONS", "ENTRIES"} <= {
        name for names, _ in NAMED for name in re.findall(r"`(\w+)`", names)
    }
    assert len(NAMED) >= 14


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_issue_forms_are_complete(form: Path) -> None:
    content = yaml.safe_load(form.read_text())
    assert content["name"] and content["description"]
    asked = [part for part in content["body"] if part["type"] != "markdown"]
    assert len({part["id"] for part in asked}) == len(asked)
    assert all(part["attributes"]["label"] for part in asked)


def test_faults_come_with_the_page_of_check_gpu_config_and_log() -> None:
    assert {"bug", "accuracy", "feature"} == {form.stem for form in FORMS}
    for form in FORMS:
        if form.stem != "feature":
            text = form.read_text()
            assert "tools/check_gpu.py" in text
            assert all(f"id: {name}" in text for name in ("config", "log", "page"))


def test_the_workflow_tests_what_the_installer_takes() -> None:
    """Every Python of either stack, and no other; setup.py names the same."""
    install = load_script("tools/install.py")
    matrix = WORKFLOW["jobs"]["test"]["strategy"]["matrix"]
    left_out = {(pair["stack"], pair["python"]) for pair in matrix["exclude"]}
    tested = {(s, p) for s in matrix["stack"] for p in matrix["python"]} - left_out
    assert tested == {
        (stack, f"3.{minor}")
        for stack, (_, newest) in install.NEWEST_PYTHON.items()
        for minor in range(10, newest + 1)
    }
    setup = (ROOT / "setup.py").read_text()
    classifiers = re.findall(r"Python :: (3\.\d+)", setup)
    assert classifiers == matrix["python"]
    assert f'python_requires=">={matrix["python"][0]}"' in setup
    (step,) = [s for s in WORKFLOW["jobs"]["test"]["steps"] if "run" in s]
    assert step["run"] == ".ci/run"


def test_the_workflow_may_only_read_and_keeps_the_wheels() -> None:
    wheels = load_script("tools/install.py").wheels_folder()
    assert WORKFLOW["permissions"] == {"contents": "read"}
    for job in WORKFLOW["jobs"].values():
        assert job["timeout-minutes"]
        (cache,) = [s for s in job["steps"] if "cache" in s.get("uses", "")]
        path = Path(cache["with"]["path"]).name
        assert path == wheels.parent.name == "mmswinv2"


def test_hooks_of_a_commit_are_those_of_the_tests() -> None:
    content = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    local = next(repo for repo in content["repos"] if repo["repo"] == "local")
    assert [hook["id"] for hook in local["hooks"]] == [
        "ruff-check",
        "ruff-format",
        "mypy",
    ]
    assert all(hook["language"] == "system" for hook in local["hooks"])
