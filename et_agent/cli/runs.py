"""`et-agent eval list`, `delete`, `export` and `import`: the runs of a store."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from et_agent.cli.guard import command
from et_agent.cli.stores import RunNames, StoreFile, open_store
from et_agent.storage import user_path

if TYPE_CHECKING:
    from et_agent.cli.printed import ListedRun
    from et_agent.decoding.base import DecoderSettings
    from et_agent.evaluation.store import RunInfo, RunStore

__all__ = ["delete_runs", "export", "import_", "list_runs"]


@command
def list_runs(
    store: StoreFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """List the runs of a store: how far they are, their accuracy and their settings."""
    import json

    from et_agent.cli.terminal import one_line, visible, write_line
    from et_agent.wording import counted

    with open_store(store) as runs:
        rows = [_row(runs, info) for info in runs.runs()]
        if as_json:
            write_line(json.dumps(rows, indent=2))
            return 0
        write_line(f"{visible(str(runs.path))}: {counted(len(rows), 'run')}")
    for row in rows:
        done = counted(row["questions"], "question")
        if row["wanted"]:
            done = f"{row['questions']} of {counted(row['wanted'], 'question')}"
        accuracy = "" if row["accuracy"] is None else f", accuracy {row['accuracy']:.3f}"
        write_line(f"{one_line(row['name'])}: {done}{accuracy}, {row['created']}")
        settings = ", ".join(f"{name} {value}" for name, value in row["settings"].items())
        write_line(f"    {one_line(settings)}")
    return 0


def _row(store: "RunStore", info: "RunInfo") -> "ListedRun":
    right, sound = store.right(info)
    return {
        "name": info.name,
        "questions": info.questions,
        "wanted": info.wanted,
        "accuracy": right / sound if sound else None,
        "created": info.created,
        "settings": _settings(info.config),
    }


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """What tells runs apart: model, data, and what is not the decoder's default."""
    from et_agent.decoding.naming import CLASSES, migrated

    decoder = migrated(config.get("decoder") or {})
    name = decoder.pop("name", "")
    schedule = decoder.get("schedule")
    made = next((one for one in CLASSES if _describes(one, name, schedule)), None)
    fields = {} if made is None else made.model_fields
    defaults = {key: field.default for key, field in fields.items()}
    changed = {key: value for key, value in decoder.items() if defaults.get(key) != value}
    found = {
        "model": dict(config.get("model") or {}).get("name", "?"),
        "data": config.get("data", "?"),
        "decoder": name,
        **({"schedule": schedule} if schedule else {}),
        **changed,
        "seed": config.get("seed", 0),
    }
    if config.get("system_prompt") is not None:
        found["system"] = repr(str(config["system_prompt"])[:40])
    if config.get("chat", "model") != "model":
        found["chat"] = config["chat"]
    return found


def _describes(made: "type[DecoderSettings]", name: str, schedule: object) -> bool:
    field = made.model_fields.get("schedule")
    return made.__name__ == name if field is None else field.default == schedule


@command
def delete_runs(
    names: RunNames,
    store: StoreFile = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> int:
    """Delete runs with all their questions."""
    from et_agent.cli.terminal import say, write_line
    from et_agent.errors import SettingsError
    from et_agent.wording import counted

    with open_store(store) as runs:
        found = [runs.any_run(name) for name in names]
        for info in found:
            say(f"{info.name}: {counted(info.questions, 'question')}")
        if not yes:
            if sys.stdin is None or not sys.stdin.isatty():
                raise SettingsError("deleting cannot be undone: add --yes")
            if input("delete them? y or n: ").strip().lower() not in ("y", "yes"):
                return 0
        for info in found:
            runs.delete(info)
            write_line(f"deleted {info.name}")
    return 0


@command
def export(
    name: Annotated[str, typer.Argument(metavar="RUN")],
    file: Annotated[str, typer.Argument(metavar="FILE", help="File name that ends in .jsonl.gz.")],
    store: StoreFile = None,
) -> int:
    """Write the statistics and answers of a run to a small file, without leaf texts."""
    from et_agent.cli.terminal import visible, write_line
    from et_agent.evaluation.exchange import export_run
    from et_agent.wording import counted

    path = user_path(file)
    with open_store(store) as runs:
        count = export_run(runs, runs.run(name), path)
    write_line(f"{visible(str(path))}: {counted(count, 'question')}")
    return 0


@command
def import_(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE…", help="Exported runs, or archives of several.")
    ],
    store: StoreFile = None,
) -> int:
    """Load exported runs into the store, in order to report, score or continue them."""
    from et_agent.cli.terminal import write_line
    from et_agent.evaluation.archive import import_runs
    from et_agent.wording import counted

    with open_store(store) as runs:
        for file in files:
            for info in import_runs(runs, user_path(file)):
                write_line(f"{info.name}: {counted(info.questions, 'question')}")
    return 0
