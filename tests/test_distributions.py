"""Wheels and source distributions: built, looked into, and described alike by other packagers."""

import importlib.util
import re
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

pytest.importorskip("fcntl", reason="distributions are built on POSIX systems")

ROOT = Path(__file__).resolve().parent.parent
METADATA = """\
Metadata-Version: 2.4
Name: et-agent
Version: 0.1.0
License-Expression: Apache-2.0
Requires-Python: >=3.11
Description-Content-Type: text/markdown

# et-agent
"""
INFO = "et_agent-0.1.0.dist-info"


def load(name: str) -> Any:
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


# Each imports those before it by these names, as scripts do.
llama_build, bootstrap, distributions, clean_installs, wheelhouse = map(
    load, ("llama_build", "bootstrap", "distributions", "clean_installs", "wheelhouse")
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small package with all that is asked for."""
    names = (
        "py.typed",
        "__init__.py",
        "kernels/source/a.cpp",
        "kernels/source/a.h",
        "calibration/shipped/a.json",
        "calibration/shipped/general/a.json",
        "decoding/pilots/a.json",
        "evaluation/datasets/samples/a.jsonl",
        "pages/assets/page.html",
        "pages/vendor/d3.js",
        "pages/vendor/LICENSE-d3",
    )
    for name in names:
        file = tmp_path / "et_agent" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name, "utf-8")
    return tmp_path


def contents(project: Path) -> dict[str, str]:
    """What the wheel of that project has to hold."""
    files = {name: name for name in distributions.package_files(project, "et_agent")}
    return {
        **files,
        f"{INFO}/METADATA": METADATA,
        f"{INFO}/RECORD": "",
        f"{INFO}/licenses/LICENSE": "",
        f"{INFO}/licenses/et_agent/pages/vendor/LICENSE-d3": "",
    }


def wheel_of(folder: Path, files: Mapping[str, str]) -> Path:
    path = folder / "et_agent-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def test_a_wheel_that_is_whole(project: Path) -> None:
    wheel = wheel_of(project, contents(project))
    assert distributions.wheel_faults(wheel, project, "et_agent") == []


@pytest.mark.parametrize(
    ("gone", "fault"),
    [
        ("et_agent/py.typed", "py.typed is missing: its types are of no use"),
        ("et_agent/kernels/source/a.cpp", "there is no et_agent/kernels/source/*.cpp"),
        (
            "et_agent/calibration/shipped/general/a.json",
            "there is no et_agent/calibration/shipped/g",
        ),
        ("et_agent/pages/assets/page.html", "et_agent/pages/assets/page.html is missing"),
        (f"{INFO}/licenses/et_agent/pages/vendor/LICENSE-d3", "LICENSE-d3 is missing"),
        (f"{INFO}/licenses/LICENSE", "licenses/LICENSE is missing"),
    ],
)
def test_a_wheel_that_lacks_something(project: Path, gone: str, fault: str) -> None:
    files = contents(project)
    del files[gone]
    found = distributions.wheel_faults(wheel_of(project, files), project, "et_agent")
    assert any(fault in one for one in found), found


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("tests/test_a.py", "tests/test_a.py is not of the package"),
        ("et_agent/test_left_over.py", "is not of the package"),
        ("et_agent/__pycache__/a.cpython-311.pyc", "does not belong there"),
        ("et_agent/kernels/libet_kernels.so", "does not belong there"),
        ("../../etc/passwd", "does not belong there"),
        ("other-1.dist-info/METADATA", "it has 2 dist-info folders"),
    ],
)
def test_a_wheel_with_something_else(project: Path, name: str, fault: str) -> None:
    wheel = wheel_of(project, {**contents(project), name: ""})
    found = distributions.wheel_faults(wheel, project, "et_agent")
    assert any(fault in one for one in found), found


@pytest.mark.parametrize(
    ("changed", "to", "fault"),
    [
        ("Requires-Python: >=3.11", "Requires-Python: >=3.10", "Python is too old"),
        ("License-Expression: Apache-2.0\n", "", "no licence expression"),
        ("License-Expression: Apache-2.0", "License-Expression: Nonsense 2", "is invalid"),
        ("text/markdown", "text/plain", "the README is not its description"),
        ("Name: et-agent", "Name: other", "its name other is not that of et_agent"),
        ("Version: 0.1.0", "Version: first", "'version'"),
    ],
)
def test_metadata_that_an_index_would_refuse(changed: str, to: str, fault: str) -> None:
    assert distributions.metadata_faults(METADATA.encode(), "et_agent") == []
    raw = METADATA.replace(changed, to).encode()
    found = distributions.metadata_faults(raw, "et_agent")
    assert any(fault in one for one in found), found


@pytest.mark.parametrize(("link", "gone"), [(False, ""), (True, ""), (False, "et_agent/py.typed")])
def test_source_distributions(project: Path, link: bool, gone: str) -> None:
    sdist = project / "et_agent-0.1.0.tar.gz"
    names = {*distributions.package_files(project, "et_agent"), "LICENSE", "README.md"}
    files = {name: b"" for name in (*names, "pyproject.toml", "tests/test_a.py") if name != gone}
    with tarfile.open(sdist, "w:gz") as archive:
        for name, data in {**files, "PKG-INFO": METADATA.encode()}.items():
            member = tarfile.TarInfo(f"et_agent-0.1.0/{name}")
            member.size = len(data)
            archive.addfile(member, BytesIO(data))
        if link:
            member = tarfile.TarInfo("et_agent-0.1.0/away")
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(member)
    found = distributions.sdist_faults(sdist, project, "et_agent")
    expected = ["et_agent-0.1.0/away is a link"] if link else [f"{gone} is missing"] if gone else []
    assert found == expected


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Any:
    environment = bootstrap.Environment(Path(sys.prefix))
    if not environment.find_uv():
        pytest.skip("uv is not installed")
    return distributions.build(environment, tmp_path_factory.mktemp("dist"), distributions.PROJECTS)


def test_what_is_distributed_is_whole(built: Any) -> None:
    assert [one.package for one in built] == list(distributions.PROJECTS.values())
    assert distributions.examine(built) == []


def test_each_project_is_tried_with_each_extra(built: Any) -> None:
    found = {
        what: [Path(one).name for one in wheels] for what, wheels in clean_installs.installs(built)
    }
    assert {"et-agent", "et-agent[cli]", "et-agent[hub]", "et-agent[eval]", "et-agent[all]"} <= set(
        found
    )
    assert len(found["et-agent[cli]"]) == 1
    assert found["et-agent[cli]"][0].endswith(".whl[cli]")
    assert [name.partition("-")[0] for name in found["et-agent-server[mcp]"]] == [
        "et_agent_server",
        "et_agent",
    ]
    assert {name.partition("-")[0] for name in found["et-agent-ray[serve]"]} == {
        "et_agent_ray",
        "et_agent",
        "et_agent_server",
    }


def test_a_trial_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "python").symlink_to(sys.executable)
    good, bad = (("python", "-c", f"print('{word}')") for word in ("said", "other"))
    trials = (
        clean_installs.Trial("good", good, "said"),
        clean_installs.Trial("bad", bad, "said", ("sys",)),
        clean_installs.Trial("not for here", bad, "said", (), ("sys",)),
        clean_installs.Trial("wrong code", good, "said", code=3),
        clean_installs.Trial("no program", ("nosuch",), ""),
    )
    monkeypatch.setattr(clean_installs, "TRIALS", trials)
    monkeypatch.setattr(clean_installs, "PROBED", ["sys"])
    monkeypatch.setattr(clean_installs, "IMPORTS", "print('imported 1')")
    found = {trial.name: fault for trial, fault in clean_installs.trials(tmp_path, ["et_agent"])}
    assert set(found) == {"imports", "good", "bad", "wrong code", "no program"}
    assert (found["imports"], found["good"]) == ("", "")
    assert found["bad"] == "exit code 0, it said: other"
    assert found["wrong code"].startswith("exit code 0")
    assert "nosuch" in found["no program"]


def test_the_table_says_what_failed() -> None:
    outcomes = [
        clean_installs.Outcome("et-agent", "3.11.7", 4.2, 40, 123.4, ["imports"]),
        clean_installs.Outcome("et-agent", "3.13.0", 5.0, 40, 123.4, [], ["imports: no"]),
        clean_installs.Outcome("et-agent[cli]", "3.11.7", 1.0, 50, 150.0, ["imports", "ask"]),
    ]
    head, _, core, cli = clean_installs.table(outcomes).splitlines()
    assert head == "| install | packages | MB | Python 3.11.7 | Python 3.13.0 |"
    assert core == "| `et-agent` | 40 | 123 | 1 checks, installed in 4 s | **fails** |"
    assert cli.endswith("| 2 checks, installed in 1 s | not tried |")


def test_interpreters_are_found_once_per_version(tmp_path: Path) -> None:
    here = sys.version_info
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        (tmp_path / place / f"python3.{here.minor}").symlink_to(sys.executable)
    broken = tmp_path / "one" / "python3.99"
    broken.write_text("#!/bin/sh\nexit 1\n", "utf-8")
    broken.chmod(0o755)
    environ = {"PATH": f"{tmp_path / 'one'}:{tmp_path / 'two'}", "PYENV_ROOT": str(tmp_path)}
    assert len(clean_installs.interpreters(environ)) == 1


def test_the_wheelhouse_is_of_the_images_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []

    def run(command: list[str]) -> None:
        ran.append(command)
        if "compile" in command:
            Path(command[-1]).write_text("numpy==2.5.5\ncolorama==0.4.6\n", "utf-8")

    monkeypatch.setattr(wheelhouse, "run", run)
    monkeypatch.setattr(wheelhouse, "ROOT", tmp_path)
    (tmp_path / bootstrap.LOCK).write_text(
        "colorama==0.4.6 ; sys_platform == 'win32' \\\n    --hash=sha256:aa\n    # via click\n"
        "numpy==2.4.6 ; python_full_version < '3.12' \\\n    --hash=sha256:bb\n"
        "numpy==2.5.5 ; python_full_version >= '3.12' \\\n    --hash=sha256:cc \\\n"
        "    --hash=sha256:dd\n    # via et-agent (pyproject.toml)\n",
        "utf-8",
    )
    wheelhouse.resolve("uv", "3.12", "aarch64", tmp_path / "requirements.txt")
    wheelhouse.fetch(["pip"], "3.12", "aarch64", tmp_path / "requirements.txt", tmp_path)
    compiled, downloaded = ran
    assert (tmp_path / "requirements.txt").read_text("utf-8") == (
        "numpy==2.5.5 \\\n    --hash=sha256:cc \\\n    --hash=sha256:dd\n"
        "colorama==0.4.6 \\\n    --hash=sha256:aa\n"
    )
    assert compiled[compiled.index("--constraints") + 1] == bootstrap.LOCK
    assert "aarch64-unknown-linux-gnu" in compiled
    assert {"--require-hashes", "--no-deps", "manylinux_2_36_aarch64"} <= set(downloaded)
    assert not [word for word in downloaded if "x86_64" in word]
    assert (tmp_path / "requirements.in").read_text("utf-8").count(" @ file://") == 2


# --- the packagers


def wanted() -> dict[str, Requirement]:
    """What et-agent and the extras `cli` and `hub` depend on, by name."""
    extras = PROJECT["optional-dependencies"]
    lines = [*PROJECT["dependencies"], *extras["cli"], *extras["hub"]]
    return {one.name.replace("-", "_"): one for one in map(Requirement, lines)}


def test_the_conda_recipe_has_what_the_project_has() -> None:
    text = (ROOT / "packaging" / "conda" / "recipe.yaml").read_text("utf-8")
    recipe = yaml.safe_load(text)
    runs = [Requirement(line) for line in recipe["requirements"]["run"] if "python_min" not in line]
    assert {one.name.replace("-", "_"): one.specifier for one in runs} == {
        name: one.specifier for name, one in wanted().items()
    }
    assert recipe["context"]["version"] == PROJECT["version"]
    assert f">={recipe['context']['python_min']}" == PROJECT["requires-python"]
    assert recipe["about"]["license"] == PROJECT["license"]
    assert all((ROOT / name).is_file() for name in recipe["about"]["license_file"])
    ((command, place),) = PROJECT["scripts"].items()
    assert recipe["build"]["python"]["entry_points"] == [f"{command} = {place}"]


def test_the_formula_has_what_the_project_has() -> None:
    text = (ROOT / "packaging" / "homebrew" / "et-agent.rb").read_text("utf-8")
    assert f'version "{PROJECT["version"]}"' in text
    assert f"et_agent-{PROJECT['version']}.tar.gz" in text
    named = re.search(r"license all_of: \[(.*)\]", text)
    assert named is not None
    assert re.findall(r'"([^"]+)"', named[1]) == PROJECT["license"].split(" AND ")
    assert "requirements.lock" in text


def test_the_files_of_the_container_are_let_through() -> None:
    folder = ROOT / "packaging" / "container"
    let = re.findall(r"^!(.+)$", (folder / "Containerfile.dockerignore").read_text("utf-8"), re.M)
    lines = (folder / "Containerfile").read_text("utf-8").splitlines()
    copies = [
        line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--from" not in line
    ]
    assert sorted(name for names in copies for name in names) == sorted(let)
