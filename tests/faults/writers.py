"""Everything that et-agent keeps in files, as pairs: what writes a first and a second content."""

import json
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path

import numpy as np

from et_agent import AskResult
from et_agent.calibration import Calibrator, Example, learn
from et_agent.calibration.finding import save_calibrator
from et_agent.cli import label_files
from et_agent.cli.chat_files import Turn, new_chat
from et_agent.config import set_value
from et_agent.decoding.thresholds import Thresholds, save_thresholds
from et_agent.engines.llama_cpp.tuning import Tuning, keep_tuning
from et_agent.evaluation.archive import ArchivedRun, RunArchive
from et_agent.evaluation.exchange import export_run
from et_agent.evaluation.report import write_report
from et_agent.evaluation.store import RunStore
from et_agent.gate import Decision, DecisionLog
from et_agent.kernels.building import switch
from tests.evaluation.conftest import record, table

Work = Callable[[], object]
Writer = Callable[[Path, AskResult, Decision], tuple[Work, Work]]
"""(folder, result, decision) -> what writes, and what writes more, once the disk is full."""


def _calibrator(folder: Path, _: AskResult, __: Decision) -> tuple[Work, Work]:
    path = folder / "one.json"
    return lambda: Calibrator.general(1).save(path), lambda: Calibrator.general(2).save(path)


def _own_calibrator(_: Path, result: AskResult, __: Decision) -> tuple[Work, Work]:
    made = Calibrator.general(1, fingerprint=Example.of(result).fingerprint)
    return lambda: save_calibrator(made), lambda: save_calibrator(made)


def _label(_: Path, result: AskResult, __: Decision) -> tuple[Work, Work]:
    other = result.model_copy(update={"question": "How many?"})
    return lambda: learn(result, True), lambda: learn(other, True)


def _pilot(_: Path, __: AskResult, ___: Decision) -> tuple[Work, Work]:
    shipped = resources.files("et_agent.decoding") / "pilots"
    text = next(one for one in shipped.iterdir() if one.name.endswith(".json")).read_bytes()
    pilot = Thresholds.model_validate_json(text)
    return lambda: save_thresholds(pilot), lambda: save_thresholds(pilot)


def _settings(_: Path, __: AskResult, ___: Decision) -> tuple[Work, Work]:
    return lambda: set_value("threads", "1"), lambda: set_value("model", "x" * 5000)


def _conversation(_: Path, result: AskResult, __: Decision) -> tuple[Work, Work]:
    turn = Turn(question="?", reply="4", result=result)
    chat = new_chat("m", None, "?").model_copy(update={"turns": (turn,)})
    longer = chat.model_copy(update={"turns": (turn,) * 3})
    return chat.save, longer.save


def _run_store(folder: Path, _: AskResult, __: Decision) -> tuple[Work, Work]:
    path = folder / "runs.sqlite"

    def add(*numbers: int) -> None:
        with RunStore(path) as store:
            run = store.begin("a", {})
            with store.working_on(run):
                for number in numbers:
                    noise = np.random.default_rng(number).integers(0, 2**30, 9000)
                    kept = record(f"x/{number}", table([0]), [True])
                    store.add(run, kept, ["t"], {"tokens": noise})

    return lambda: add(1), lambda: add(2, 3, 4, 5)


def _decisions(folder: Path, result: AskResult, decision: Decision) -> tuple[Work, Work]:
    path = folder / "decisions.sqlite"

    def add(*traces: str) -> None:
        with DecisionLog(path, keep_texts=True) as log:
            for trace in traces:
                changes = {"trace_id": trace, "question": "x" * 20_000}
                log.record(decision.model_copy(update=changes), result)

    return lambda: add("1"), lambda: add(*map(str, range(2, 14)))


def _exported(folder: Path, _: AskResult, __: Decision) -> tuple[Work, Work]:
    path = folder / "run.jsonl.gz"

    def export(questions: int) -> None:
        store_path = folder.parent / "cache" / f"{questions}.sqlite"
        store_path.unlink(missing_ok=True)
        with RunStore(store_path) as store:
            run = store.begin("a", {})
            for number in range(questions):
                store.add(run, record(f"x/{number}", table([0]), [True]), ["t"], {})
            export_run(store, run, path)

    return lambda: export(1), lambda: export(2)


def _archive(folder: Path, _: AskResult, __: Decision) -> tuple[Work, Work]:
    one = ArchivedRun("a", {"seed": 1}, [record("x/0", table([0]), [True])], 1)
    archive = RunArchive(folder / "runs.xz")
    return lambda: archive.put({"a": one}), lambda: archive.put({"b": one})


def _report(folder: Path, _: AskResult, __: Decision) -> tuple[Work, Work]:
    runs = {"a": [record(f"x/{at}", table([0, 1]), [True, False]) for at in range(4)]}

    def write() -> None:
        write_report(runs, folder / "report", resamples=2, plots=False)

    return write, write


def _labels(folder: Path, _: AskResult, __: Decision) -> tuple[Work, Work]:
    path = folder / "labels.jsonl"
    row = {"question": "?", "answer": "4"}
    return (
        lambda: label_files._Kept(path).write([row]),
        lambda: label_files._Kept(path).write([{**row, "right": True}]),
    )


def _tuning(_: Path, __: AskResult, ___: Decision) -> tuple[Work, Work]:
    return (
        lambda: keep_tuning("a", "b", Tuning(8, 1)),
        lambda: keep_tuning("c", "d", Tuning(8, 1)),
    )


def _kernels(_: Path, __: AskResult, ___: Decision) -> tuple[Work, Work]:
    return lambda: switch(on=True), lambda: switch(on=False)


WRITERS: Mapping[str, Writer] = {
    "calibrator": _calibrator,
    "own calibrator": _own_calibrator,
    "label": _label,
    "pilot": _pilot,
    "settings": _settings,
    "conversation": _conversation,
    "run store": _run_store,
    "decision log": _decisions,
    "exported run": _exported,
    "archive of runs": _archive,
    "report": _report,
    "file of labels": _labels,
    "tuning": _tuning,
    "kernels' switch": _kernels,
}
EMPTY = ("kernels' switch",)
"""Files without content, for which a full disk has room."""


def contents(folder: Path) -> dict[str, str]:
    """The files of a folder that hold documents."""
    found = {}
    for path in sorted(folder.rglob("*.json*")):
        if path.suffix == ".gz" or not path.is_file():
            continue
        text = path.read_text("utf-8")
        json.loads(text.splitlines()[0] if path.suffix == ".jsonl" else text)
        found[str(path.relative_to(folder))] = text
    return found
