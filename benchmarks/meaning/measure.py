"""Whether answers that say the same are found, and what it does to stored runs.

    python -m benchmarks.meaning.measure judge MODEL [--minutes 5] [--threads 1]
    python -m benchmarks.meaning.measure
    ET_AGENT_DATA=…/raw python -m benchmarks.meaning.measure --runs FOLDER

`pairs.jsonl` has pairs of answers that leaves of stored runs give to questions of NQ-open,
labelled by reading them. Three of four were drawn among pairs that share a word which the
question has not, since most others plainly differ. A pair is "same" where both give the same
answer to what is asked, whatever they tell beyond it; of dates, where they agree in all that both
tell. Prompts, tests and thresholds were chosen on pairs with split "train"; those with "test"
judge them.

`judge` asks a model about the pairs whose words do not tell, and keeps what it says. Without it,
agreement with the labels is put together. `--runs` tells what joining by tests of words does to
stored runs of NQ-open, for which nothing is decoded. The classes of these must be those of equal
words, as in this project's history before the runs were joined:

    git archive 44a7751 benchmarks/results/runs | tar -x -C FOLDER

Grades are the same on both sides, those of today. Written to benchmarks/results/meaning.json and, as
tables, into docs/answers.md.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.documents import put
from benchmarks.runs import LARGER, RESULTS, SMALL
from et_agent.answers import AnswerKind
from et_agent.answers.equivalence import AnswerClasses
from et_agent.answers.joining import join_classes
from et_agent.answers.meaning import same_meaning
from et_agent.answers.text import normalised
from et_agent.arrays import Bools, Doubles
from et_agent.engines.loading import load_model
from et_agent.evaluation.archive import RunArchive
from et_agent.evaluation.datasets import load_items
from et_agent.evaluation.grading import is_right
from et_agent.evaluation.items import Item
from et_agent.evaluation.metrics import auroc, value_of
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.report import table
from et_agent.uncertainty.self_evaluation import judged_equivalences

PAIRS: Final = Path(__file__).with_name("pairs.jsonl")
OUT: Final = RESULTS.parent / "meaning.json"
JUDGED: Final = RESULTS.parent / "meaning"
RESAMPLES: Final = 1000

Pair = Mapping[str, str]


def pairs(split: str | None = None) -> list[Pair]:
    """The labelled pairs."""
    found = [json.loads(line) for line in PAIRS.read_text(encoding="utf-8").splitlines()]
    return [one for one in found if split in (None, one["split"])]


def by_tests(pair: Pair) -> bool | None:
    """What the tests of words say."""
    return same_meaning(pair["a"], pair["b"], pair["question"])


def judge(name: str, minutes: float | None, threads: int | None) -> None:
    """Ask a model about the pairs that the tests leave open, and keep what it says; resumable."""
    path = JUDGED / f"judged-{name}.json"
    held: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    left = [one for one in pairs() if by_tests(one) is None and _key(one) not in held]
    began = time.monotonic()
    path.parent.mkdir(parents=True, exist_ok=True)
    with load_model(name, threads=threads) as model:
        for pair in left:
            if minutes is not None and time.monotonic() - began > 60 * minutes:
                return
            said = judged_equivalences(model, pair["question"], [(pair["a"], pair["b"])])
            held[_key(pair)] = round(float(said[0]), 4)
            path.write_text(json.dumps(held, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


def _key(pair: Pair) -> str:
    return f"{pair['item']}: {pair['a']} | {pair['b']}"


def agreement(split: str) -> dict[str, Any]:
    """Agreement with the labels of a split, by what decides."""
    given = pairs(split)
    labels = np.array([one["label"] == "same" for one in given])
    tested = [by_tests(one) for one in given]
    found = {
        "words": _scores(labels, [normalised(one["a"]) == normalised(one["b"]) for one in given]),
        "tests": _scores(labels, [bool(one) for one in tested]),
    }
    for name in (SMALL, LARGER):
        path = JUDGED / f"judged-{name}.json"
        if not path.exists():
            continue
        said = json.loads(path.read_text(encoding="utf-8"))
        if any(
            one is None and _key(pair) not in said for one, pair in zip(tested, given, strict=True)
        ):
            continue  # not all are judged yet
        both = [
            said[_key(pair)] >= 0.5 if one is None else one
            for one, pair in zip(tested, given, strict=True)
        ]
        found[f"tests, then {name}"] = _scores(labels, both)
        left = np.array([one is None for one in tested])
        scores = np.array([said.get(_key(pair), np.nan) for pair in given])
        found[f"tests, then {name}"]["AUROC of the judge where words do not tell"] = _rounded(
            _auroc(scores[left], labels[left])
        )
    return {
        "pairs": len(given),
        "same": int(labels.sum()),
        "undecided by tests": sum(one is None for one in tested),
        "wrongly decided by tests": sum(
            one is not None and one != bool(label)
            for one, label in zip(tested, labels, strict=True)
        ),
        "by": found,
    }


def _scores(labels: Bools, said: Sequence[bool]) -> dict[str, Any]:
    given = np.array(said)
    joined, right = int(given.sum()), int((given & labels).sum())
    return {
        "agreement": round(float((given == labels).mean()), 4),
        "joined": joined,
        "of these rightly": right,
        "share of the same that is joined": round(right / int(labels.sum()), 4),
    }


def effect(folder: Path) -> dict[str, Any]:
    """What joining does to the stored runs of a folder, by run."""
    found: dict[str, Any] = {}
    for model in (SMALL, LARGER):
        for key, run in RunArchive(folder / f"{model}-nq-open.jsonl.xz").items():
            items = {one.fingerprint: one for one in load_items(run.config["data"])}
            found[f"{model}: {key}"] = _effect(run.records, items)
            print(model, key, found[f"{model}: {key}"], flush=True)
    return found


def _effect(records: Sequence[QuestionRecord], items: Mapping[str, Item]) -> dict[str, Any]:
    rows: list[tuple[float, ...]] = []
    slowest = 0.0
    for record in records:
        item = items[record.question]
        right = [is_right(answer, item) for answer in record.answers]
        index = [None if one < 0 else one for one in record.leaves.answer.tolist()]
        classes = AnswerClasses(record.answers, tuple(index))
        began = time.perf_counter()
        joined = join_classes(
            classes, record.leaves.weight.tolist(), item.question, AnswerKind.TEXT
        )
        slowest = max(slowest, time.perf_counter() - began)
        after = joined.classes
        labels = [right[record.answers.index(one)] for one in after.labels]
        table_after = record.leaves.part(
            slice(None),
            answer=np.array([-1 if one is None else one for one in after.index_of_leaf]),
        )
        top, now = record.leaves.top, table_after.top
        rows.append(
            (
                record.correct,
                top is not None and right[top],
                now is not None and labels[now],
                0.0 if top is None else float(record.leaves.shares[top]),
                0.0 if now is None else float(table_after.shares[now]),
                len(record.answers),
                len(after.labels),
                len(joined.undecided),
            )
        )
    columns: Doubles = np.array(rows, dtype=np.float64)
    counts = np.random.default_rng(0).multinomial(
        len(rows), [1 / len(rows)] * len(rows), size=RESAMPLES
    )
    graded, before, after_right, share, share_after, votes, votes_after, undecided = columns.T
    return {
        "questions": len(records),
        "accuracy as stored": _rounded(graded.mean()),
        "accuracy": {
            "words": _rounded(before.mean()),
            "joined": _rounded(after_right.mean()),
            "difference": _interval(counts @ (after_right - before) / len(rows)),
        },
        "AUROC of the share": {
            "words": _rounded(_auroc(share, before)),
            "joined": _rounded(_auroc(share_after, after_right)),
            "difference": _interval(
                auroc(after_right.astype(bool), share_after, counts.astype(np.float64))
                - auroc(before.astype(bool), share, counts.astype(np.float64))
            ),
        },
        "answers per question": {
            "words": _rounded(votes.mean()),
            "joined": _rounded(votes_after.mean()),
        },
        "pairs whose words do not tell, per question": _rounded(undecided.mean()),
        "questions with other classes": int((votes != votes_after).sum()),
        "slowest question, seconds": _rounded(slowest),
    }


def _auroc(scores: Doubles, right: Doubles | Bools) -> float:
    found = value_of(auroc, right.astype(bool), scores)
    return np.nan if found is None else found


def _interval(values: Doubles) -> list[float]:
    """95 % interval of a statistic's values over resampled questions."""
    return [_rounded(one) for one in np.nanquantile(values, [0.025, 0.975])]


def _rounded(value: float) -> float:
    return round(float(value), 4)


def write(found: Mapping[str, Any]) -> None:
    """The tables of docs/answers.md."""
    rows = []
    for name, one in found["agreement"]["by"].items():
        chosen = found["agreement to choose on"]["by"][name]
        rows.append(
            [
                name,
                f"{chosen['agreement']:.1%}",
                f"{one['agreement']:.1%}",
                str(one["joined"]),
                str(one["of these rightly"]),
                f"{one['share of the same that is joined']:.0%}",
            ]
        )
    header = [
        "decided by", "agreement, to choose on", "agreement, to judge", "pairs joined", "rightly",
        "of those that are the same",
    ]  # fmt: skip
    put("docs/answers.md", "pairs", table(header, rows))
    header = [
        "run", "questions", "answers per question, words", "joined", "accuracy, words", "joined",
        "AUROC, words", "joined", "difference, 95 %",
    ]  # fmt: skip
    rows = []
    for name, one in found["effect"].items():
        votes, right, area = (
            one[key] for key in ("answers per question", "accuracy", "AUROC of the share")
        )
        low, high = area["difference"]
        rows.append(
            [
                name,
                str(one["questions"]),
                f"{votes['words']:.2f}",
                f"{votes['joined']:.2f}",
                f"{right['words']:.3f}",
                f"{right['joined']:.3f}",
                f"{area['words']:.3f}",
                f"{area['joined']:.3f}",
                f"{low:+.3f} to {high:+.3f}",
            ]
        )
    put("docs/answers.md", "joined", table(header, rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=["judge"])
    parser.add_argument("model", nargs="?", default=SMALL)
    parser.add_argument("--runs", type=Path, help="stored runs with classes of equal words")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.what == "judge":
        judge(options.model, options.minutes, options.threads)
        return
    found = json.loads(OUT.read_text(encoding="utf-8"))
    found |= {"agreement": agreement("test"), "agreement to choose on": agreement("train")}
    if options.runs is not None:
        found["effect"] = effect(options.runs)
    OUT.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    write(found)


if __name__ == "__main__":
    main()
