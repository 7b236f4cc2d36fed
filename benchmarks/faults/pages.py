"""The tables of docs/reliability.md."""

from collections.abc import Mapping
from typing import Any

from benchmarks.documents import put

__all__ = ["write_tables"]


def write_tables(found: Mapping[str, Any]) -> None:
    """Put what was found into the page."""
    lines = []
    for name, written in (
        ("injected", _injected),
        ("kills", _kills),
        ("decisions", _decisions),
        ("soak", _soak),
    ):
        if name in found:
            lines += [*written(found[name]), "", _machine(found[name]), ""]
    put("docs/reliability.md", "faults", ["", *lines])


def _machine(part: Mapping[str, Any]) -> str:
    machine = part["machine"]
    return (
        f"On {machine['cpu']}, {machine['cores']} cores, load {part['load_before']} before, "
        f"{machine['date']}."
    )


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> list[str]:
    shown = [f"| {' | '.join(map(str, row))} |" for row in (head, *rows)]
    return [shown[0], "|---|" + "---:|" * (len(head) - 1), *shown[1:]]


def _injected(part: Mapping[str, Any]) -> list[str]:
    faults = part["faults"]
    rows: list[tuple[Any, ...]] = [
        (name, one["injected"], one["survived"]) for name, one in faults.items()
    ]
    total = [sum(row[at] for row in rows) for at in (1, 2)]
    return _table(("fault", "injected", "survived"), [*rows, ("all", *total)])


def _kills(part: Mapping[str, Any]) -> list[str]:
    rows = [
        ("kills after a question was finished, with others to come", part["kills"]),
        ("of them, kills that lost a finished question", part["losing"]),
        ("of them, kills after which one was decoded twice", part["doubling"]),
        ("questions answered otherwise than without kills", part["differing"]),
    ]
    return _table(("an evaluation that is killed", "count"), rows)


def _decisions(part: Mapping[str, Any]) -> list[str]:
    actions = ", ".join(f"{name} {count:,}" for name, count in part["actions"].items())
    rows = [
        ("decisions", f"{part['decisions']:,}"),
        (f"ended within {part['limit_seconds'] + 0.5:g} s", f"{part['share_in_time']:.2%}"),
        ("trees that the limit cut off", f"{part['cut_off']:,}"),
        ("actions", actions),
        ("seconds: median", part["median_seconds"]),
        ("seconds: 99 %", part["p99_seconds"]),
        ("seconds: longest", part["longest_seconds"]),
    ]
    head = (
        f"a limit of {part['limit_seconds']:g} s, {part['at_once']} at once, two busy loops beside"
    )
    return _table((head, ""), rows)


def _soak(part: Mapping[str, Any]) -> list[str]:
    start, tenths = part["start"], part["tenths"]
    first, last = tenths[0], tenths[-1]
    statuses = ", ".join(f"{name}: {count:,}" for name, count in part["statuses"].items())

    def change(name: str) -> str:
        return f"{last[name] / first[name] - 1:+.1%}"

    def speed(row: Mapping[str, Any]) -> float:
        return float(row["tokens"] / row["seconds"])

    rows = [
        ("questions", f"{part['questions']:,}"),
        ("replies by status", statuses),
        ("memory, last tenth to the first", change("memory")),
        ("Python objects, last tenth to the first", change("objects")),
        ("tokens per second, last tenth to the first", f"{speed(last) / speed(first) - 1:+.1%}"),
        ("CPU time per token, last tenth to the first", change("cpu_ms_per_token")),
        *(
            (f"{what}: after the first pass, and at the end", f"{start[name]:,}, {last[name]:,}")
            for what, name in (
                ("free cells", "free_cells"),
                ("paths in the cache", "paths_in_cache"),
                ("threads", "threads"),
                ("open files", "files"),
                ("child processes", "children"),
            )
        ),
    ]
    return _table(("questions with random settings through a server", ""), rows)
