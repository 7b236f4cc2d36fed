"""The Markdown tables of a file of results: times and ratios, then answers, confidences and memory."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.peers.plan import MODES, SYSTEMS, Mode, System
from benchmarks.peers.running import disturbed
from benchmarks.peers.scoring import separation

Job = dict[str, Any]


def tables(results: Mapping[str, Any]) -> str:
    """Both tables, with what they were measured on."""
    jobs = [job for job in results["jobs"].values() if "error" not in job]
    present = [one for one in SYSTEMS if any(job["system"] == one.name for job in jobs)]
    parts = [_about(results, jobs), _times(present, jobs), _quality(present, jobs)]
    if marked := sorted({job["system"] for job in jobs if disturbed(job)}):
        parts.append(f"Disturbed by other work, not to be published: {', '.join(marked)}.")
    if failed := [key for key, job in results["jobs"].items() if "error" in job]:
        parts.append(f"Failed: {', '.join(failed)}.")
    return "\n\n".join([*parts, _versions(jobs)])


def _about(results: Mapping[str, Any], jobs: Sequence[Job]) -> str:
    settings, machine = results["settings"], results["machine"]
    rounds = len({job["round"] for job in jobs})
    cuts = "no cuts" if settings["sampling"] == "pure" else "llama.cpp's default cuts"
    return (
        f"{machine['cpu']}, {settings['threads']} threads; {settings['samples']} samples of at most "
        f"{settings['max_tokens']} tokens, temperature 0.7, peers with {cuts}; "
        f"{len(settings['questions'])} questions, {settings['part']} in a round, {rounds} rounds."
    )


def _times(systems: Sequence[System], jobs: Sequence[Job]) -> str:
    head = ["system"]
    for mode in ("one alone", "queued"):
        head += [f"{mode}, s", "over `Llama`", "over llama-server"]
    rows = [
        [one.title, *(cell for mode in MODES for cell in _time(one, mode, jobs))] for one in systems
    ]
    return (
        f"{_markdown(head, rows)}\n\n"
        "Seconds are per question. The other columns say how many times as fast as 16 calls of "
        "`Llama`, one after another, and as the faster way of llama-server a system is: the median "
        "of the rounds and, in parentheses, their range."
    )


def _time(system: System, mode: Mode, jobs: Sequence[Job]) -> list[str]:
    """Seconds per question, and both ratios."""
    mine = _of(jobs, system.name, mode)
    served = [_seconds(jobs, name, mode) for name in ("server", "server-n")]
    rounds = {number for way in served for number in way}
    faster = {number: min(way[number] for way in served if number in way) for number in rounds}
    seconds = _seconds(jobs, system.name, mode)
    return [
        _number(_each(mine, "seconds"), 1),
        _ratio(_seconds(jobs, "llama", "alone"), seconds),
        _ratio(faster, seconds),
    ]


def _seconds(jobs: Sequence[Job], system: str, mode: Mode) -> dict[int, float]:
    """Seconds of each round."""
    return {job["round"]: job["seconds"] for job in _of(jobs, system, mode)}


def _ratio(base: Mapping[int, float], own: Mapping[int, float]) -> str:
    """How many times as fast as the base: the median of the rounds, and their range."""
    ratios = [base[number] / seconds for number, seconds in own.items() if number in base]
    if not ratios:
        return "-"
    middle = f"{statistics.median(ratios):.2f}"
    return middle if len(ratios) == 1 else f"{middle} ({min(ratios):.2f} to {max(ratios):.2f})"


def _quality(systems: Sequence[System], jobs: Sequence[Job]) -> str:
    head = [
        "system",
        "tokens",
        "right",
        "AUROC, share",
        "AUROC, confidence",
        "peak MB",
        "anonymous MB",
    ]
    rows = []
    scores = []
    for one in systems:
        mine = [job for job in jobs if job["system"] == one.name]
        answers = [answer for job in mine for answer in job["answers"]]
        right = [answer["right"] for answer in answers]
        rows.append(
            [
                one.title,
                _number(_each(mine, "tokens"), 0),
                f"{sum(right)}/{len(right)}",
                *(
                    _number(separation(right, [answer[what] for answer in answers]), 2)
                    for what in ("share", "confidence")
                ),
                *(str(max(job[what] for job in mine)) for what in ("peak_mb", "anonymous_mb")),
            ]
        )
        figures = {
            name: separation(right, [answer["scores"].get(name) for answer in answers])
            for name in answers[0]["scores"]
        }
        if len(figures) > 1:
            listed = ", ".join(f"{name} {_number(value, 2)}" for name, value in figures.items())
            scores.append(f"AUROC of the scores of {one.title}: {listed}.")
    notes = (
        "Tokens are per question. The share is that of the samples' vote. The confidence is the "
        "system's own, the first of those below if it has several. Anonymous memory has no file "
        "behind it; the peak includes the mapped model file. Both include the server. Questions are "
        "counted as often as they were asked. Over 12 of them an AUROC has a standard error of "
        "about 0.15: it tells what works from what does not, and no more."
    )
    return "\n\n".join([_markdown(head, rows), notes, *scores])


def _versions(jobs: Sequence[Job]) -> str:
    """What took part; several versions of one thing are all named."""
    found = {
        f"{name} {version}"
        for job in jobs
        for name, version in {**job["versions"], "commit": job["commit"]}.items()
        if name != "python"
    }
    return f"Versions: {'; '.join(sorted(found))}."


def _of(jobs: Sequence[Job], system: str, mode: Mode) -> list[Job]:
    return [job for job in jobs if job["system"] == system and job["mode"] == mode]


def _each(jobs: Sequence[Job], what: str) -> float | None:
    """A sum over jobs, per question."""
    questions = sum(len(job["answers"]) for job in jobs)
    return sum(job[what] for job in jobs) / questions if questions else None


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
