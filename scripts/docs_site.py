"""Build the documentation as a site, build/site; warnings are errors.

docs/ is written for readers of the repository. This copies it to build/docs, gives the site what a
repository has beside it (files that pages link to, the reference out of docstrings and options), and
runs Zensical there. Nothing is fetched.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
STAGE = ROOT / "build"
SITE = STAGE / "site"
CONFIG = "zensical.toml"
COMMANDS = "reference/commands.md"
PROJECT = {
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "CHANGELOG.md": "project/changelog.md",
    "README.md": "index.md",
}
"""Documents of the repository that are pages of the site; README has its own page there."""
MODULES = {
    "et_agent": "The library: questions, models, decoders, results.",
    "et_agent.gate": "Decisions: policies, gates, logs.",
    "et_agent.calibration": "Confidences and thresholds.",
    "et_agent.evaluation": "Runs over data sets, and what they show.",
    "et_agent.runnables": "Runnables for LangChain.",
    "et_agent.pages": "Results to look at.",
    "et_agent.errors": "Everything that is raised.",
    "langchain_et_agent": "Chat model, agents and graphs for LangChain and LangGraph.",
    "et_agent_server": "The server with OpenAI's interface.",
    "et_agent_ray": "Many machines.",
}
LINK = re.compile(
    r"(?<!!)\[(?P<text>[^\]\[]*)\]\((?P<url>[^)\s]+)\)|!\[(?P<alt>[^\]]*)\]\((?P<src>[^)\s]+)\)"
)
SCHEME = re.compile(r"^[a-z]+:|^#")


class SiteError(Exception):
    """Raised when the site cannot be built; the message names the fix."""


def pages() -> Iterator[tuple[str, str]]:
    """The site's pages that are documents of the repository: path there, path here."""
    for path in sorted(DOCS.rglob("*.md")):
        yield path.relative_to(DOCS).as_posix(), path.relative_to(ROOT).as_posix()
    for document, page in PROJECT.items():
        if page != "index.md":
            yield page, document


def place_of(document: str) -> str:
    """Where a file of the repository is on the site."""
    if document in PROJECT:
        return PROJECT[document]
    path = PurePosixPath(document)
    return path.relative_to("docs").as_posix() if path.parts[0] == "docs" else f"files/{document}"


def staged(text: str, document: str, page: str) -> tuple[str, set[str]]:
    """A document as a page of the site, and the files of the repository that it needs there."""
    wanted: set[str] = set()

    def place(found: re.Match[str]) -> str:
        url = found["url"] or found["src"]
        if SCHEME.match(url):
            return found[0]
        path, hash_, anchor = url.partition("#")
        target = normpath((PurePosixPath(document).parent / path).as_posix())
        if not (ROOT / target).exists():
            raise SiteError(f"{document} links to {url}, which is not there")
        if (ROOT / target).is_dir():
            return str(found["text"])
        there = place_of(target)
        if there.startswith("files/"):
            wanted.add(target)
        address = relpath(there, PurePosixPath(page).parent.as_posix()) + hash_ + anchor
        return found[0].replace(f"({url})", f"({address})")

    parts = re.split(r"(^ *```.*?^ *```$)", text, flags=re.MULTILINE | re.DOTALL)
    parts[::2] = [LINK.sub(place, part) for part in parts[::2]]
    return with_tables("".join(parts)), wanted


def with_tables(text: str) -> str:
    """Let Markdown within HTML tables be read, as a forge does."""
    text = re.sub(r"^<table>$", '<table markdown="block">', text, flags=re.MULTILINE)
    text = text.replace("<tr><td>", '<tr markdown="block"><td markdown="span">')
    return text.replace("</td><td>\n", '</td><td markdown="block">\n')


def public_names(module: str) -> list[str]:
    """`__all__` of a module, without importing it."""
    for folder in (ROOT, *(ROOT / "integrations").iterdir()):
        path = folder / module.replace(".", "/")
        for file in (path / "__init__.py", path.with_suffix(".py")):
            if file.exists():
                for statement in ast.parse(file.read_text("utf-8")).body:
                    if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == (
                        "__all__"
                    ):
                        return list(ast.literal_eval(statement.value))
    raise SiteError(
        f"{module} is not there, or has no __all__: mend MODULES in scripts/docs_site.py"
    )


def reference(module: str, about: str) -> str:
    """The page of a module: everything public, out of its docstrings."""
    blocks = (f"::: {module}.{name}\n" for name in sorted(public_names(module)))
    return "\n".join([f"# {module}\n", f"{about}\n", *blocks])


def commands() -> str:
    """Every command with all of its options."""
    from typer.main import get_command

    from et_agent.cli.main import app

    lines = ["# All commands", ""]
    lines += [
        "Written from the command line itself; `et-agent COMMAND --help-all` shows the same.",
        "",
    ]

    def tell(name: str, command: Any) -> None:
        for child, one in sorted(getattr(command, "commands", {}).items()):
            tell(f"{name} {child}", one)
        if hasattr(command, "commands"):
            return
        lines.extend([f"## `{name}`", "", cell(command.help or "").replace("<br>", "\n"), ""])
        rows = [
            (", ".join(one.opts + one.secondary_opts), option_help(one)) for one in command.params
        ]
        lines.extend(["| option | what it does |", "|---|---|"])
        lines.extend(f"| `{names}` | {cell(told)} |" for names, told in rows)
        lines.append("")

    tell("et-agent", get_command(app))
    return "\n".join(lines)


def option_help(parameter: Any) -> str:
    """What an option or an argument says of itself."""
    told = getattr(parameter, "help", None) or ""
    default = getattr(parameter, "show_default", None)
    shown = f" Default: {default}." if isinstance(default, str) else ""
    return str(told) + shown


def cell(text: str) -> str:
    """A help text in a table of Markdown."""
    plain = re.sub(r"\[/?(bold|dim|cyan|yellow|green|red|i|b)\]", "", text)
    for sign, written in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("*", "\\*"), ("_", "\\_")):
        plain = plain.replace(sign, written)
    return " ".join(plain.split())


def stage() -> None:
    """Write everything that Zensical reads to build."""
    out = STAGE / "docs"
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(DOCS, out, ignore=shutil.ignore_patterns(CONFIG))
    for page, document in pages():
        text, wanted = staged((ROOT / document).read_text("utf-8"), document, page)
        write(out / page, text)
        for file in wanted:
            target = out / place_of(file)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, target)
    entries = []
    for module, about in MODULES.items():
        write(out / f"reference/{module}.md", reference(module, about))
        entries.append(f'{{ "{module}" = "reference/{module}.md" }}')
    write(out / COMMANDS, commands())
    paths = [ROOT, *(ROOT / "integrations").iterdir()]
    config = (DOCS / CONFIG).read_text("utf-8").replace('"REFERENCE"', ", ".join(entries))
    quoted = ", ".join(f'"{path.as_posix()}"' for path in paths)
    write(STAGE / CONFIG, config.replace('"ROOT"', quoted))


def write(path: Path, text: str) -> None:
    """Write a text, with the folders it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def main() -> int:
    """Build the site and return the exit code."""
    try:
        stage()
    except SiteError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    command += ["-f", str(STAGE / CONFIG)]
    built = subprocess.run(
        command, check=False, cwd=STAGE, stdout=subprocess.PIPE, text=True, stderr=subprocess.STDOUT
    )
    print(built.stdout, end="")
    # What reads the docstrings only says what is wrong with them.
    return built.returncode or int("griffe: " in built.stdout)


if __name__ == "__main__":
    sys.exit(main())
