"""Build the wheels and source distributions of et-agent and its integrations, and look into them.

`make dist` builds all projects into dist/, each in isolation, with build tools that the lock pins by
hash. A wheel is built from its source distribution, so that both are known to be complete. With
`--check`, clean_installs.py then tries them where nothing else is installed.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from pathlib import Path, PurePosixPath

from bootstrap import LOCK, Environment, SetupError, run, say
from llama_build import ROOT
from packaging.metadata import InvalidMetadata, Metadata

PROJECTS: Mapping[str, str] = {
    ".": "et_agent",
    "integrations/langchain": "langchain_et_agent",
    "integrations/server": "et_agent_server",
    "integrations/ray": "et_agent_ray",
}
"""Folders of the projects, with the package that each distributes."""
NEEDED: Mapping[str, Sequence[str]] = {
    "et_agent": (
        "kernels/source/*.cpp",
        "kernels/source/*.h",
        "calibration/shipped/*.json",
        "calibration/shipped/general/*.json",
        "decoding/pilots/*.json",
        "evaluation/datasets/samples/*.json*",
        "pages/assets/page.html",
        "pages/vendor/*.js",
    ),
    "et_agent_server": ("page/index.html", "page/*.js"),
}
"""What a package reads at run time, beside code: a wheel without one of a kind is broken."""
UNWANTED = ("__pycache__", ".pyc", ".gguf", ".so", ".o")
LARGEST = 5_000_000


@dataclass(frozen=True)
class Built:
    """A project's two files, with the package that they distribute."""

    folder: Path
    package: str
    wheel: Path
    sdist: Path


def build(environment: Environment, out: Path, projects: Mapping[str, str]) -> list[Built]:
    """Build the projects into a folder, of which their earlier files are removed.

    Raises:
        SetupError: There is no uv, or a build fails; it has said why.
    """
    if not (uv := environment.find_uv()):
        raise SetupError("Distributions are built by uv: run `make setup` first, or install uv.")
    built = []
    for folder, package in projects.items():
        for old in out.glob(f"{package}-*"):
            old.unlink()
        command = [uv, "build", "--quiet", "--python", str(environment.python)]
        command += ["--build-constraints", LOCK, "--require-hashes", "--out-dir", str(out)]
        run([*command, folder])
        built.append(found(out, folder, package))
    return built


def found(out: Path, folder: str, package: str) -> Built:
    """The files of a project in a folder.

    Raises:
        SetupError: They are not there.
    """
    wheels, sdists = list(out.glob(f"{package}-*.whl")), list(out.glob(f"{package}-*.tar.gz"))
    if (len(wheels), len(sdists)) != (1, 1):
        raise SetupError(
            f"There is no build of {folder} in {out}: run `make dist` without --reuse."
        )
    return Built(ROOT / folder, package, wheels[0], sdists[0])


def package_files(folder: Path, package: str) -> set[str]:
    """Files of a package in the checkout, as paths in its wheel."""
    return {
        file.relative_to(folder).as_posix()
        for file in (folder / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def licences(names: Iterable[str]) -> set[str]:
    """Those of the files that are licences."""
    return {name for name in names if PurePosixPath(name).name.startswith("LICENSE")}


def metadata_faults(raw: bytes, package: str) -> list[str]:
    """What an index would refuse, and what a user would miss on its page."""
    try:
        found = Metadata.from_email(raw, validate=True)
    except (ExceptionGroup, InvalidMetadata) as error:
        inner = error.exceptions if isinstance(error, ExceptionGroup) else (error,)
        return [f"metadata: {one}" for one in inner]
    faults = []
    if found.description_content_type != "text/markdown" or not (found.description or "").strip():
        faults.append("metadata: the README is not its description")
    if not found.license_expression:
        faults.append("metadata: there is no licence expression")
    if found.requires_python is None or "3.10" in found.requires_python:
        faults.append("metadata: it may be installed where Python is too old")
    if f"{found.name}".replace("-", "_") != package:
        faults.append(f"metadata: its name {found.name} is not that of {package}")
    return faults


def _unsafe(names: Iterable[str]) -> list[str]:
    """Names that lead elsewhere, or are what no distribution has."""
    return [
        f"{name} does not belong there"
        for name in names
        if PurePosixPath(name).is_absolute()
        or ".." in PurePosixPath(name).parts
        or "__pycache__" in PurePosixPath(name).parts
        or name.endswith(UNWANTED)
    ]


def wheel_faults(wheel: Path, folder: Path, package: str) -> list[str]:
    """What is wrong with a wheel of that package; empty if it is as it should be."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        infos = {name.partition("/")[0] for name in names if ".dist-info/" in name}
        if len(infos) != 1:
            return [f"it has {len(infos)} dist-info folders"]
        (info,) = infos
        raw = archive.read(f"{info}/METADATA")
    code = {name for name in names if not name.startswith(f"{info}/")}
    expected = package_files(folder, package)
    declared = {f"{info}/licenses/{name}" for name in {"LICENSE", *licences(expected)}}
    faults = [
        *_unsafe(names),
        *(f"{name} is missing" for name in sorted(expected - code)),
        *(f"{name} is not of the package" for name in sorted(code - expected)),
        *(f"{name} is missing" for name in sorted(declared - names)),
    ]
    if f"{package}/py.typed" not in code:
        faults.append("py.typed is missing: its types are of no use to others")
    for pattern in NEEDED.get(package, ()):
        if not any(PurePosixPath(name).match(f"{package}/{pattern}") for name in code):
            faults.append(f"there is no {package}/{pattern}")
    if wheel.stat().st_size > LARGEST:
        faults.append(f"it has {wheel.stat().st_size:,} bytes, more than {LARGEST:,}")
    return faults + metadata_faults(raw, package)


def sdist_faults(sdist: Path, folder: Path, package: str) -> list[str]:
    """What is wrong with a source distribution of that package."""
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
        links = [f"{one.name} is a link" for one in members if not (one.isfile() or one.isdir())]
        root = members[0].name.partition("/")[0]
        names = {one.name.removeprefix(f"{root}/") for one in members if one.isfile()}
        described = archive.extractfile(f"{root}/PKG-INFO")
        raw = b"" if described is None else described.read()
    wanted = {"LICENSE", "README.md", "pyproject.toml", *package_files(folder, package)}
    faults = [
        *links,
        *_unsafe(names),
        *(f"{name} is missing" for name in sorted(wanted - names)),
    ]
    if not any(name.startswith("tests/") for name in names):
        faults.append("its tests are missing")
    return faults + metadata_faults(raw, package)


def headers(wheel: Path) -> Message:
    """The metadata of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
        return BytesParser().parsebytes(archive.read(name))


def examine(built: Sequence[Built]) -> list[str]:
    """Show the files of all projects, and return what is wrong with them."""
    faults = []
    for one in built:
        for file, found in (
            (one.wheel, wheel_faults(one.wheel, one.folder, one.package)),
            (one.sdist, sdist_faults(one.sdist, one.folder, one.package)),
        ):
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            say(f"  {file.name:<42}{file.stat().st_size / 1000:>6,.0f} kB  sha256 {digest}")
            faults += [f"{file.name}: {fault}" for fault in found]
    return faults


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, look into what was built, and with --check try it; the exit code."""
    parser = argparse.ArgumentParser(prog="make dist", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder of what is built")
    parser.add_argument("--reuse", action="store_true", help="build nothing: take what is there")
    parser.add_argument("--check", action="store_true", help="install it and try it")
    parser.add_argument(
        "--python",
        action="append",
        metavar="PATH",
        help="an interpreter to check with (may be repeated); otherwise all that are found",
    )
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        help="check this, such as et-agent[cli] (repeatable)",
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep what the check found, for the docs"
    )
    options = parser.parse_args(arguments)
    environment = Environment(Path(sys.prefix))
    try:
        out = options.out.resolve()
        if options.reuse:
            built = [found(out, folder, package) for folder, package in PROJECTS.items()]
        else:
            built = build(environment, out, PROJECTS)
        faults = examine(built)
        if not faults and options.check:
            from clean_installs import check

            faults = check(
                environment, built, options.python, only=options.only or (), keep=options.keep
            )
    except SetupError as error:
        faults = [str(error)]
    for fault in faults:
        say(f"error: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
