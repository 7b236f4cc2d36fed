"""Is the confidence of each field right? On invoices whose fields are known (`benchmarks.invoices`).

    python -m benchmarks.fields decode [--model qwen2.5-coder-1.5b] [--records 160] [--minutes 60]
    python -m benchmarks.fields decode --task flats|orders|appointments [--records 40]    # to fit on
    python -m benchmarks.fields tables    # benchmarks/results/fields.json, docs/measured.md

Resumable: what is decoded is kept after every few records in benchmarks/results/fields-MODEL.jsonl.xz,
without the texts, which the generator gives again. Kept are the features of each field's leaves too, so
that `tables` judges the general map as it is now, without decoding.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks import kept
from benchmarks.confidence import exact_ece
from benchmarks.documents import put
from benchmarks.invoices import SCHEMA, Invoice, invoice, question_of
from benchmarks.notices import TASKS, Notice, notice
from et_agent.answers.fields import field_key
from et_agent.arrays import Bools, Doubles, Ints
from et_agent.asking import submit_all
from et_agent.asking.fields import read_fields
from et_agent.asking.pending import PendingAnswer
from et_agent.calibration import Calibrator, features_of
from et_agent.decoding import EntropyTree
from et_agent.engines.base import LanguageModel
from et_agent.engines.loading import load_model
from et_agent.evaluation.bootstrap import Interval, Resamples, interval
from et_agent.evaluation.metrics import auroc, brier, ece
from et_agent.evaluation.report import shown, table
from et_agent.storage import write_atomically

RESULTS: Final = Path(__file__).parent / "results"
AT_ONCE: Final = 4
"""Records that share the model's batches."""
WANTED: Final = 0.98
"""Share of right fields that is to be reached among those that nobody looks at."""
SEED: Final = 0
INVOICES: Final = "invoices"
"""The task that judges; the others are fitted on."""
FIELDS: Final = tuple(SCHEMA["properties"])


def file_of(model: str, task: str = INVOICES) -> Path:
    if task == INVOICES:
        return RESULTS / f"fields-{model}.jsonl.xz"
    return RESULTS / "fields-fit" / f"{task}-{model}.jsonl.xz"


def asked(task: str, number: int) -> tuple[str, Invoice | Notice]:
    """The question about a record, and the record."""
    if task == INVOICES:
        one = invoice(number, SEED)
        return question_of(one), one
    told = notice(task, number, SEED)
    return TASKS[task].question(told), told


# --- Decoding


def decode(name: str, task: str, *, records: int, leaves: int, minutes: float | None) -> None:
    """Decode the first records of the series that are not decoded yet."""
    decoder = EntropyTree(leaves=leaves, max_tokens=256)

    def told(rows: Sequence[kept.Row]) -> str:
        right = np.mean([all(one["right"] for one in row["fields"].values()) for row in rows])
        return f"{right:.0%} of the records right"

    with load_model(name) as model:
        kept.decode(
            file_of(name, task),
            kept.head_of(model, decoder, SEED),
            records,
            lambda numbers: decoded(model, task, numbers, decoder),
            told,
            at_once=AT_ONCE,
            minutes=minutes,
        )


def decoded(
    model: LanguageModel, task: str, numbers: Iterable[int], decoder: EntropyTree
) -> Iterator[dict[str, Any]]:
    """What is kept of some records, decoded together."""
    records = [asked(task, number) for number in numbers]
    schema = SCHEMA if task == INVOICES else TASKS[task].schema
    questions = [question for question, _ in records]
    pending = submit_all(model, questions, decoder=decoder, schema=schema, seed=SEED)
    for (_, one), waiting in zip(records, pending, strict=True):
        yield row_of(one, waiting, model.token_bytes)


def row_of(
    one: Invoice | Notice, waiting: PendingAnswer, token_bytes: Callable[[int], bytes]
) -> dict[str, Any]:
    """What is kept of a record."""
    result, reading = waiting.result(), waiting.reading()
    leaves = waiting.leaves(reading)
    tree = waiting.request.result().tree
    fields = {
        field.path: {
            "right": field_key(field.value) == field_key(one.truth[field.path]),
            "share": field.share,
            "features": kept.rounded(features_of(field.leaves)),
            "value": field.value,
        }
        for field in read_fields(tree, reading, leaves, token_bytes).fields
    }
    return {
        "number": one.number,
        "hard": sorted(one.hard),
        "share": result.share,
        "features": kept.rounded(result.features),
        "tokens": result.usage.tokens_decoded,
        "seconds": round(result.usage.seconds, 2),
        "fields": fields,
    }


# --- Judging


@dataclass(frozen=True)
class Judged:
    """Fields of records with an answer, one after the other, [n]; records [records].

    Attributes:
        names: Name of each field.
        record: Number of the record that each is of, counted from 0 without gaps.
        right: Whether each is right.
        confidence: P(correct) of each, from the general map for fields.
        as_answer: The same from the general map for answers.
        share: Share of each.
        whole: P(correct) of the record that each is of.
        whole_share: Share of the record that each is of.
        hard: What makes each record hard.
    """

    names: tuple[str, ...]
    record: Ints
    right: Bools
    confidence: Doubles
    as_answer: Doubles
    share: Doubles
    whole: Doubles
    whole_share: Doubles
    hard: tuple[frozenset[str], ...]

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]], parameters: int) -> "Judged":
        general = Calibrator.general(parameters)
        of_fields = Calibrator.general(parameters, of_fields=True)

        def confidences(
            trees: Sequence[Mapping[str, float | None]], judge: Calibrator = general
        ) -> Doubles:
            return np.array([one.value for one in judge.confidences(trees, "json")])

        answered = [row for row in rows if row["fields"]]
        fields = [one for row in answered for one in row["fields"].values()]
        record = np.repeat(np.arange(len(answered)), [len(row["fields"]) for row in answered])
        whole = confidences([row["features"] for row in answered])
        whole_share = np.array([row["share"] for row in answered])
        return cls(
            names=tuple(name for row in answered for name in row["fields"]),
            record=record,
            right=np.array([one["right"] for one in fields], dtype=np.bool_),
            confidence=confidences([one["features"] for one in fields], of_fields),
            as_answer=confidences([one["features"] for one in fields]),
            share=np.array([one["share"] for one in fields]),
            whole=whole[record],
            whole_share=whole_share[record],
            hard=tuple(frozenset(row["hard"]) for row in answered),
        )

    def part(self, chosen: Bools) -> "Judged":
        """Some of the fields."""
        names = np.array(self.names)[chosen].tolist()
        columns = {
            name: getattr(self, name)[chosen]
            for name in (
                "record",
                "right",
                "confidence",
                "as_answer",
                "share",
                "whole",
                "whole_share",
            )
        }
        return Judged(names=tuple(names), hard=self.hard, **columns)

    @cached_property
    def counts(self) -> Doubles:
        """How often each field is in each resample of records, [R + 1, n]."""
        return Resamples.of_groups(self.record.tolist(), resamples=1000).counts

    def interval(self, values: Doubles, *, basic: bool = False) -> Interval:
        return interval(values, self.right.size, basic=basic)

    def auroc(self, score: Doubles) -> Interval:
        """Chance that a right field has a larger score than a wrong one."""
        return self.interval(auroc(self.right, score, self.counts))

    def ece(self, probability: Doubles) -> Interval:
        return self.interval(ece(self.right, probability, self.counts), basic=True)

    def brier(self, probability: Doubles) -> Interval:
        return self.interval(brier(self.right, probability, self.counts))


@dataclass(frozen=True)
class Flagged:
    """What has to be looked at so that of the rest enough is right.

    Attributes:
        threshold: Fields with a smaller score are flagged; None if all are.
        fields: Number of flagged fields.
        records: Number of records with a flagged field.
        right: Share of the other fields that is right; None if there are none.
        found: Share of the wrong fields that is flagged; None if all are right.
    """

    threshold: float | None
    fields: int
    records: int
    right: float | None
    found: float | None


def flagged(judged: Judged, score: Doubles, wanted: float = WANTED) -> Flagged:
    """The fewest fields such that `wanted` of the others are right; equal scores stay together."""
    levels = np.unique(score)
    kept = next((one for one in levels if judged.right[score >= one].mean() >= wanted), None)
    chosen = np.ones(score.size, dtype=np.bool_) if kept is None else score < kept
    wrong = ~judged.right
    return Flagged(
        threshold=None if kept is None else float(kept),
        fields=int(chosen.sum()),
        records=int(np.unique(judged.record[chosen]).size),
        right=None if chosen.all() else float(judged.right[~chosen].mean()),
        found=float((chosen & wrong).sum() / wrong.sum()) if wrong.any() else None,
    )


WAYS: Final[Mapping[str, Callable[[Judged], Doubles]]] = {
    "field, confidence": lambda one: one.confidence,
    "field, general map for answers": lambda one: one.as_answer,
    "field, share": lambda one: one.share,
    "whole record, confidence": lambda one: one.whole,
    "whole record, share": lambda one: one.whole_share,
}
"""What fields are flagged by."""


def figures(judged: Judged) -> dict[str, Any]:
    """All figures of one model."""
    whole = np.array([judged.right[judged.record == at].all() for at in range(len(judged.hard))])
    first = np.unique(judged.record, return_index=True)[1]
    counts = Resamples(whole.size, resamples=1000).counts
    return {
        "records": whole.size,
        "fields": judged.right.size,
        "right records": float(whole.mean()),
        "right fields": float(judged.right.mean()),
        "auroc": {name: listed(judged.auroc(way(judged))) for name, way in WAYS.items()},
        "ece": {name: listed(judged.ece(way(judged))) for name, way in WAYS.items()},
        "brier": {name: listed(judged.brier(way(judged))) for name, way in WAYS.items()},
        "ece if exact": listed(exact_ece(judged.confidence)),
        "auroc of right records by their share": listed(
            interval(auroc(whole, judged.whole_share[first], counts), whole.size)
        ),
        "flagged": {name: vars(flagged(judged, way(judged))) for name, way in WAYS.items()},
        "by field": {name: part_of(judged, of_name(judged, name)) for name in FIELDS},
        "by difficulty": {
            name: part_of(judged, np.array([name in judged.hard[at] for at in judged.record]))
            for name in sorted(frozenset().union(*judged.hard))
        },
    }


def of_name(judged: Judged, name: str) -> Bools:
    return np.array([one == name for one in judged.names], dtype=np.bool_)


def part_of(judged: Judged, chosen: Bools) -> dict[str, Any]:
    """Figures of some of the fields."""
    part = judged.part(chosen)
    if not part.right.size:
        return {"fields": 0}
    return {
        "fields": part.right.size,
        "right": float(part.right.mean()),
        "confidence": float(part.confidence.mean()),
        "auroc": listed(part.auroc(part.confidence)),
        "ece": listed(part.ece(part.confidence)),
    }


def listed(one: Interval) -> list[float | None]:
    return [one.value, one.low, one.high]


# --- Tables


def tables() -> None:
    document: dict[str, Any] = {"wanted": WANTED, "models": {}}
    for path in sorted(RESULTS.glob("fields-*.jsonl.xz")):
        found = kept.read(path)
        if found is None or not found[1]:
            continue
        head, rows = found
        name = path.name.removeprefix("fields-").removesuffix(".jsonl.xz")
        judged = Judged.of(rows, head["model"]["parameters"])
        document["models"][name] = {
            **figures(judged),
            "records without an answer": len(rows) - len(judged.hard),
            "tokens per record": float(np.mean([row["tokens"] for row in rows])),
            "seconds per record": float(np.mean([row["seconds"] for row in rows])),
            "decoder": head["decoder"],
            "machine": head["machine"],
        }
    write_atomically(RESULTS / "fields.json", json.dumps(document, indent=1) + "\n")
    lines = lines_of(document["models"]) or ["Not measured yet."]
    put("docs/measured.md", "fields", lines)
    print("\n".join(lines))


def lines_of(models: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The tables of the docs."""
    ways, flags, names = [], [], []
    for model, found in models.items():
        for way in WAYS:
            ways.append(
                [
                    model,
                    f"{found['right fields']:.3f}",
                    way,
                    *(told(found[one][way]) for one in ("auroc", "ece", "brier")),
                ]
            )
            one = found["flagged"][way]
            flags.append(
                [
                    model,
                    way,
                    f"{one['fields']} of {found['fields']}",
                    f"{one['records']} of {found['records']}",
                    percent(one["right"]),
                    percent(one["found"]),
                ]
            )
        for sort, group in (("field", "by field"), ("invoices with", "by difficulty")):
            for name, part in found[group].items():
                if part["fields"]:
                    names.append(
                        [
                            model,
                            f"{sort}: {name}",
                            str(part["fields"]),
                            f"{part['right']:.3f}",
                            f"{part['confidence']:.3f}",
                            *(told(part[one]) for one in ("auroc", "ece")),
                        ]
                    )
    if not ways:
        return []
    header = ["model", "right fields", "scored by", "AUROC", "ECE", "Brier"]
    looked = [
        "model",
        "flagged by",
        "fields",
        "records",
        "right among the others",
        "wrong ones found",
    ]
    parts = ["model", "part", "fields", "right", "mean confidence", "AUROC", "ECE"]
    return [
        *table(header, ways),
        "",
        f"Flagged so that {WANTED:.0%} of the other fields are right:",
        "",
        *table(looked, flags),
        "",
        *table(parts, names),
    ]


def told(one: Sequence[float | None]) -> str:
    """An interval as `listed` keeps it, for a table."""
    value, low, high = one
    return shown(Interval(value, low, high, questions=0))


def percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["decode", "tables"])
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--task", choices=[INVOICES, *TASKS], default=INVOICES)
    parser.add_argument("--records", type=int, default=160)
    parser.add_argument("--leaves", type=int, default=8)
    parser.add_argument("--minutes", type=float, help="stop after about as long")
    options = parser.parse_args()
    if options.command == "tables":
        tables()
    else:
        decode(
            options.model,
            options.task,
            records=options.records,
            leaves=options.leaves,
            minutes=options.minutes,
        )


if __name__ == "__main__":
    main()
