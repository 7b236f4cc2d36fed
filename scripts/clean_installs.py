"""Try what was built where nothing else is installed: an environment per Python, project and extra.

What goes into one is what pip would take: a wheel, one of its extras, and their dependencies as the
lock pins them. llama.cpp is that of the environment which runs this, packed as a wheel again: it is
compiled once and serves every Python. Each environment is then asked to do what its extras are for.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from email.message import Message
from importlib.metadata import distribution
from pathlib import Path

from bootstrap import LOCK, Environment, SetupError, run, say
from distributions import Built, headers
from llama_build import LLAMA, ROOT, Build
from packaging.requirements import Requirement

MODEL = "smollm2-135m"
OLDEST = (3, 11)
SECONDS = 900
RESULTS = ROOT / "benchmarks" / "results" / "installs.json"
ASK = ("ask", "--model", MODEL, "--leaves", "2", "--max-tokens", "24")
OPTIONAL = ("typer", "rich", "matplotlib", "huggingface_hub", "langchain", "langgraph", "mcp")
MORE_OPTIONAL = (
    "opentelemetry",
    "ray",
    "pandas",
    "pyarrow",
    "et_agent_server",
    "starlette",
    "uvicorn",
)
IMPORTS = """
import importlib, pkgutil, sys
for package in {packages}:
    top = importlib.import_module(package)
    for found in pkgutil.walk_packages(top.__path__, package + ".", onerror=lambda name: None):
        if not any(part.startswith("_") for part in found.name.split(".")):
            try:
                importlib.import_module(found.name)
            except ImportError as error:
                if (error.name or "").partition(".")[0] not in {missing}:
                    raise
    for name in top.__all__:
        try:
            getattr(top, name)
        except ImportError as error:  # it has to say which extra it is of
            if "pip install" not in str(error):
                raise
print("imported", len([one for one in sys.modules if one.split(".")[0] in {packages}]))
"""
ASK_IN_PYTHON = f"""
from et_agent import EntropyTree, ask, load_model
with load_model({MODEL!r}) as model:
    print(ask(model, "What is 2 + 2?", decoder=EntropyTree(leaves=2, max_tokens=24)).distribution)
"""
SERVE = """
import asyncio, httpx
from et_agent import ScriptedModel
from et_agent_server import create_app
async def look(app):
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return (await client.get("/v1/models")).text
with ScriptedModel.from_texts({"So \\\\boxed{4}": 1.0}) as model:
    print(asyncio.run(look(create_app({"scripted": model}))))
"""


@dataclass(frozen=True)
class Trial:
    """Something that an environment is asked to do.

    Attributes:
        name: What it is.
        command: What is run: a program of the environment, and its arguments.
        says: What has to stand in its output.
        there: Modules with which it is tried.
        missing: Modules without which it is tried.
        code: The exit code that is expected.
    """

    name: str
    command: tuple[str, ...]
    says: str
    there: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    code: int = 0


TRIALS = (
    Trial("ask in Python", ("python", "-c", ASK_IN_PYTHON), "AnswerShare(", missing=("typer",)),
    Trial("--version without cli", ("et-agent", "-V"), "et-agent[cli]", (), ("typer",), 2),
    Trial("--version", ("et-agent", "--version"), "et-agent 0.", ("typer",)),
    Trial("ask", ("et-agent", *ASK, "--json", "What is 2 + 2?"), '"distribution"', ("typer",)),
    Trial("serve --help", ("et-agent", "serve", "--help"), "--model", ("typer",)),
    Trial("mcp --help", ("et-agent", "mcp", "--help"), "--http", ("typer",)),
    Trial(
        "serve names its package",
        ("et-agent", "serve"),
        "et-agent-server",
        ("typer",),
        ("et_agent_server",),
        2,
    ),
    Trial(
        "mcp names its extra", ("et-agent", "mcp"), "et-agent-server[mcp]", ("typer",), ("mcp",), 2
    ),
    Trial(
        "a tree drawn",
        ("et-agent", *ASK, "--svg", "tree.svg", "What is 2 + 2?"),
        "share of the paths",
        ("typer", "matplotlib"),
    ),
    Trial("serve", ("python", "-c", SERVE), '"scripted"', ("et_agent_server",)),
)
PROBED = sorted({name for one in TRIALS for name in (*one.there, *one.missing)})


@dataclass
class Outcome:
    """What an environment turned out to be.

    Attributes:
        what: The project and its extra.
        python: Version of the interpreter.
        seconds: How long the installation took, packages out of the cache.
        packages: How many there are.
        megabytes: Their size, without what Python compiles of them.
        works: Names of the trials that went well.
        faults: What did not.
    """

    what: str
    python: str
    seconds: float = 0.0
    packages: int = 0
    megabytes: float = 0.0
    works: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def version_of(python: str) -> tuple[int, ...]:
    """Version of an interpreter of CPython; empty if it is none that runs."""
    code = "import sys; print(*sys.version_info[:3], sys.implementation.name)"
    try:
        said = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    *numbers, name = said.stdout.split()
    return tuple(map(int, numbers)) if name == "cpython" else ()


def interpreters(environ: Mapping[str, str]) -> list[str]:
    """The newest CPython of each version that is supported, on PATH or of pyenv."""
    root = Path(environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders = [*map(Path, environ.get("PATH", "").split(os.pathsep)), *root.glob("versions/*/bin")]
    named = re.compile(r"python3\.(\d+)")
    files = {
        file.resolve(): file
        for folder in folders
        for file in (folder.glob("python3.*") if folder.is_dir() else ())
        if (name := named.fullmatch(file.name)) and (3, int(name[1])) >= OLDEST
    }
    newest: dict[tuple[int, ...], tuple[tuple[int, ...], str]] = {}
    for file in files.values():
        if version := version_of(str(file)):
            newest[version[:2]] = max(newest.get(version[:2], ((), "")), (version, str(file)))
    return [path for _, (_, path) in sorted(newest.items())]


def installs(built: Sequence[Built]) -> Iterator[tuple[str, list[str]]]:
    """Each project alone and with each of its extras: its name, and the wheels to install."""
    for one in built:
        described = headers(one.wheel)
        for extra in ("", *sorted(described.get_all("Provides-Extra") or ())):
            named = f"[{extra}]" if extra else ""
            asked = dependencies(described, extra)
            below = [other for other in built if other is not one and other.package in asked]
            yield (
                f"{described['Name']}{named}",
                [f"{one.wheel}{named}", *(str(other.wheel) for other in below)],
            )


def dependencies(described: Message, extra: str) -> set[str]:
    """What a project depends on with an extra, as names of packages."""
    wanted = map(Requirement, described.get_all("Requires-Dist") or ())
    return {
        one.name.replace("-", "_")
        for one in wanted
        if one.marker is None or one.marker.evaluate({"extra": extra})
    }


def packed(name: str, out: Path) -> Path:
    """Make a wheel of what is installed here under that name, as it was built."""
    found = distribution(name)
    tag = re.search(r"^Tag: (\S+)", found.read_text("WHEEL") or "", re.MULTILINE)
    if tag is None:
        raise SetupError(f"{name} was not installed from a wheel: run `make setup` anew")
    info = f"{name.replace('-', '_')}-{found.version}"
    own = {f"{info}.dist-info/{file}" for file in ("WHEEL", "METADATA")}
    wheel = out / f"{info}-{tag[1]}.whl"
    rows = []
    with zipfile.ZipFile(wheel, "w") as archive:
        for file in found.files or ():
            inside = ".dist-info/" not in str(file) and file.suffix != ".pyc"
            if inside or str(file) in own or "licenses" in file.parts:
                archive.write(str(found.locate_file(file)), str(file))
                rows.append(f"{file},,")
        rows.append(f"{info}.dist-info/RECORD,,")
        archive.writestr(f"{info}.dist-info/RECORD", "\n".join(rows) + "\n")
    return wheel


def install(uv: str, python: str, place: Path, what: Sequence[str], llama: Path) -> None:
    """Make an environment and install into it: llama.cpp, and the rest as the lock pins it."""
    environment = Environment(place)
    subprocess.run([uv, "venv", "--quiet", "--python", python, str(place)], check=True)
    (place / "bin" / "uv").symlink_to(Path(uv).resolve())
    run(
        [
            uv,
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--python",
            str(environment.python),
            str(llama),
        ]
    )
    environment.install(Build(), *what, "--quiet")


def _run(place: Path, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a program of an environment, with no module but its own in reach."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    keep["PATH"] = f"{place / 'bin'}{os.pathsep}{keep.get('PATH', '')}"
    return subprocess.run(
        [str(place / "bin" / command[0]), *command[1:]],
        cwd=place,
        env={**keep, "COLUMNS": "120"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


def trials(place: Path, packages: Sequence[str]) -> Iterator[tuple[Trial, str]]:
    """Do what the environment should be able to do; gives each trial with its fault, if any."""
    probe = f"import importlib.util as u; print(*[n for n in {PROBED} if u.find_spec(n)])"
    there = set(_run(place, ("python", "-c", probe)).stdout.split())
    missing = {*OPTIONAL, *MORE_OPTIONAL} - there
    imports = IMPORTS.format(packages=tuple(packages), missing=sorted(missing))
    for trial in (Trial("imports", ("python", "-c", imports), "imported"), *TRIALS):
        if there.issuperset(trial.there) and not there.intersection(trial.missing):
            try:
                done = _run(place, trial.command)
            except (OSError, subprocess.SubprocessError) as error:
                yield trial, str(error)
                continue
            right = done.returncode == trial.code and trial.says in done.stdout + done.stderr
            said = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["nothing"]
            yield trial, "" if right else f"exit code {done.returncode}, it said: {said[0]}"


def tried(uv: str, python: str, what: str, wheels: Sequence[str], llama: Path) -> Outcome:
    """Install something into an environment of its own and try it."""
    outcome = Outcome(what, ".".join(map(str, version_of(python))))
    with tempfile.TemporaryDirectory(prefix="et-agent-clean-") as folder:
        place = Path(folder) / "venv"
        started = time.monotonic()
        try:
            install(uv, python, place, wheels, llama)
        except (SetupError, subprocess.SubprocessError) as error:
            outcome.faults.append(f"it cannot be installed: {error}")
            return outcome
        outcome.seconds = round(time.monotonic() - started, 1)
        listed = [uv, "pip", "list", "--quiet", "--format=json", "--python", str(place)]
        outcome.packages = len(
            json.loads(subprocess.run(listed, capture_output=True, check=True).stdout)
        )
        site = next((place / "lib").glob("python3*/site-packages"))
        sizes = [file.stat().st_size for file in site.rglob("*") if file.suffix != ".pyc"]
        outcome.megabytes = round(sum(sizes) / 1e6, 1)
        for trial, fault in trials(place, [Path(one).name.partition("-")[0] for one in wheels]):
            if fault:
                outcome.faults.append(f"{trial.name}: {fault}")
            else:
                outcome.works.append(trial.name)
    return outcome


def table(outcomes: Sequence[Outcome]) -> str:
    """The outcomes in Markdown, a row per project and extra."""
    pythons = sorted(
        {one.python for one in outcomes}, key=lambda one: tuple(map(int, one.split(".")))
    )
    lines = [
        f"| install | packages | MB | {' | '.join(f'Python {one}' for one in pythons)} |",
        f"|---|---|---|{'---|' * len(pythons)}",
    ]
    for what in dict.fromkeys(one.what for one in outcomes):
        of = {one.python: one for one in outcomes if one.what == what}
        whole = next((one for one in of.values() if one.packages), next(iter(of.values())))
        cells = [_cell(of.get(python)) for python in pythons]
        lines.append(
            f"| `{what}` | {whole.packages} | {whole.megabytes:,.0f} | {' | '.join(cells)} |"
        )
    return "\n".join(lines) + "\n"


def _cell(outcome: Outcome | None) -> str:
    if outcome is None:
        return "not tried"
    if outcome.faults:
        return "**fails**"
    return f"{len(outcome.works)} checks, installed in {outcome.seconds:.0f} s"


def check(
    environment: Environment,
    built: Sequence[Built],
    pythons: Sequence[str] | None,
    *,
    only: Collection[str],
    keep: bool,
) -> list[str]:
    """Try all that was built with all Pythons; shows a table and returns what went wrong."""
    uv = environment.find_uv()
    found = list(pythons or interpreters(os.environ))
    say(f"trying {', '.join(found)}, with what {LOCK} pins")
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="et-agent-llama-") as place:
        llama = packed(LLAMA, Path(place))
        for what, wheels in installs(built):
            for python in found if what in only or not only else ():
                outcome = tried(uv, python, what, wheels, llama)
                outcomes.append(outcome)
                shown = "; ".join(outcome.faults) or f"{len(outcome.works)} checks"
                say(f"  {what}, Python {outcome.python}: {outcome.seconds:.0f} s, {shown}")
                if keep:
                    write([outcome], [one for one, _ in installs(built)])
    print(table(outcomes), end="")
    return [f"{one.what}, Python {one.python}: {what}" for one in outcomes for what in one.faults]


def write(outcomes: Sequence[Outcome], order: Sequence[str]) -> None:
    """Keep the outcomes beside earlier ones of other projects and Pythons, and put them in the docs."""
    from benchmarks.documents import put
    from benchmarks.machine import describe

    earlier = json.loads(RESULTS.read_text("utf-8"))["installs"] if RESULTS.exists() else []
    kept = {(one["what"], one["python"]): Outcome(**one) for one in earlier}
    kept |= {(one.what, one.python): one for one in outcomes}
    ordered = sorted(
        (one for one in kept.values() if one.what in order), key=lambda one: one.python
    )
    ordered.sort(key=lambda one: order.index(one.what))
    text = json.dumps({"machine": describe(), "installs": list(map(asdict, ordered))}, indent=1)
    RESULTS.write_text(text + "\n", "utf-8")
    put("docs/install.md", "installs", table(ordered).splitlines())
