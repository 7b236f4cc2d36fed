"""What the readers of answers read: on stored runs, and on the corpus beside other projects' readers.

    ET_AGENT_DATA=…/raw python -m benchmarks.readings changed
    python -m benchmarks.readings corpus [--earlier CHECKOUT]
    ET_AGENT_DATA=…/raw python -m benchmarks.readings solutions --earlier CHECKOUT

`changed` reads every stored answer of benchmarks/results/runs and benchmarks/results/settings again.
Stored runs hold the answer of each class as results show it, not the leaves' texts: what an earlier
reader did not find, or cut off, is lost. So it tells which stored answers are read otherwise, which
classes of a question now are one, which are graded otherwise, and what that does to accuracy. Data
sets that are not on this machine keep their stored grades.

`corpus` counts the cases of tests/answers/corpus that each reader gets right: et-agent's,
math-verify's, lm-evaluation-harness's if it can be imported (its own folder on PYTHONPATH, `pip install
--no-deps lm-eval`), and those of an earlier checkout of et-agent. Others are asked about the kinds that
they read.

`solutions` reads what people wrote as leaves: the solutions of GSM8K and MATH-500, whole, their last
line, and their answer behind a marker and in a box. It tells how many give the data set's answer, and
which are read otherwise than by the earlier checkout.

All write benchmarks/results/readings.json, and their tables into docs/answers.md.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.documents import ROOT, put
from benchmarks.runs import RESULTS
from et_agent.answers import answer_classes, extract, read_value
from et_agent.errors import EtAgentError
from et_agent.evaluation.archive import RunArchive
from et_agent.evaluation.datasets import load_items
from et_agent.evaluation.datasets.locating import data_folder
from et_agent.evaluation.grading import is_right
from et_agent.evaluation.items import Item
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.report import table

OUT: Final = Path(__file__).parent / "results" / "readings.json"
SETTINGS: Final = RESULTS.parent / "settings"
CORPUS: Final = ROOT / "tests" / "answers" / "corpus"
EXAMPLES: Final = 12
_MATH_VERIFY: Final = frozenset({"number", "math", "choice"})
_HARNESS: Final = frozenset({"number", "choice"})
"""Kinds that the others' readers are made for."""


def changed() -> dict[str, Any]:
    """What is read otherwise, by run."""
    found: dict[str, Any] = {}
    for path in sorted((*RESULTS.glob("*.jsonl.xz"), *SETTINGS.glob("*.jsonl.xz"))):
        for key, run in RunArchive(path).items():
            items = _items(run.config["data"], settings=path.parent == SETTINGS)
            found[f"{path.name.removesuffix('.jsonl.xz')}: {key}"] = _compared(run.records, items)
            print(
                key, found[f"{path.name.removesuffix('.jsonl.xz')}: {key}"]["accuracy"], flush=True
            )
    return found


@cache
def _items(data: str, *, settings: bool) -> Mapping[str, Item]:
    """Questions by fingerprint; none where the data set cannot be had."""
    from benchmarks.settings.questions import SETS

    try:
        items = SETS[data]() if settings else load_items(data)
    except (EtAgentError, OSError, SystemExit, KeyError):
        return {}
    return {item.fingerprint: item for item in items}


def _compared(records: Sequence[QuestionRecord], items: Mapping[str, Item]) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    before = after = 0

    def note(what: str, example: str) -> None:
        counts[what] += 1
        shown = examples.setdefault(what, [])
        if len(shown) < EXAMPLES:
            shown.append(example)

    for record in records:
        item = items.get(record.question)
        question = "" if item is None else item.question
        counts[f"answers of kind {record.kind}"] += len(record.answers)
        counts["questions graded anew"] += item is not None
        answers = [read_value(answer, record.kind, question=question) for answer in record.answers]
        right = list(record.right)
        for at, (old, new) in enumerate(zip(record.answers, answers, strict=True)):
            if new is None or new.value != old:
                shown = "no answer" if new is None else new.value
                note(f"read otherwise, {record.kind}", f"{old} -> {shown}")
            if item is not None and (now := is_right(old, item)) != right[at]:
                note("right now" if now else "wrong now", f"{old} for {' | '.join(item.golds)}")
                right[at] = now
        classes = answer_classes(answers, record.kind).index_of_leaf
        first: dict[int, int] = {}
        merged = np.arange(len(answers))
        for at, member in enumerate(classes):
            if member is None:
                continue
            merged[at] = first.setdefault(member, at)
            if merged[at] != at:
                note(
                    "classes that are one now",
                    f"{record.answers[merged[at]]} = {record.answers[at]}",
                )
        before += record.correct
        after += _is_correct(record, merged, right)
    total = len(records) or 1
    return {
        "questions": len(records),
        "counts": dict(sorted(counts.items())),
        "accuracy": {"before": round(before / total, 4), "after": round(after / total, 4)},
        "examples": examples,
    }


def _is_correct(record: QuestionRecord, merged: Any, right: Sequence[bool]) -> bool:
    """Whether the heaviest class is right once classes that say the same are one."""
    top = record.leaves.top
    if top is None:
        return False
    if (merged != np.arange(len(merged))).any():
        shares = np.zeros(len(merged))
        np.add.at(shares, merged, record.leaves.shares)
        top = record.leaves.leading(shares)
    assert top is not None
    return any(right[at] for at in range(len(right)) if merged[at] == top)


@dataclass(frozen=True)
class Case:
    """A case of the corpus: what a leaf says, and the answer that is shown, "" for none."""

    fault: str
    kind: str
    question: str
    text: str
    shown: str
    given: str


def cases() -> Iterator[Case]:
    """All cases of the corpus that readers of whole leaves can be asked."""
    for path in sorted(CORPUS.glob("*.toml")):
        for group in tomllib.loads(path.read_text(encoding="utf-8")).get("cases", []):
            for text, shown, *_ in group["read"]:
                leaf = f"\\boxed{{{text}}}" if group.get("boxed") else text
                asked, given = group.get("question", ""), group.get("given", "")
                yield Case(group["fault"], group["kind"], asked, leaf, shown, given)


def corpus(earlier: Path | None) -> dict[str, Any]:
    """How many cases each reader gets right, by kind and by fault."""
    given = list(cases())
    readers: dict[str, Sequence[bool | None]] = {"et-agent": [_ours(case) for case in given]}
    if earlier is not None:
        rows = [(one.kind, one.question, one.text, one.shown) for one in given]
        readers["et-agent before"] = _by_checkout(earlier, _IN_CHECKOUT, rows)
    readers["math-verify"] = [_asked(_by_math_verify, case, _MATH_VERIFY) for case in given]
    if (flexible := _harness()) is not None:
        readers["lm-evaluation-harness"] = [_asked(flexible, case, _HARNESS) for case in given]
    return {
        "cases": len(given),
        "by kind": _tally(given, readers, lambda case: case.kind),
        "by fault": _tally(given, readers, lambda case: f"{case.fault} ({case.kind})"),
    }


def _tally(
    given: Sequence[Case],
    readers: Mapping[str, Sequence[bool | None]],
    group_of: Callable[[Case], str],
) -> dict[str, Any]:
    groups = dict.fromkeys(map(group_of, given))
    found: dict[str, Any] = {}
    for group in groups:
        members = [at for at, case in enumerate(given) if group_of(case) == group]
        right = {
            name: None
            if any(read[at] is None for at in members)
            else sum(bool(read[at]) for at in members)
            for name, read in readers.items()
        }
        found[group] = {"cases": len(members), "right": right}
    return found


def _ours(case: Case) -> bool:
    extracted = extract(case.text, case.kind, question=case.question, given=case.given)
    return (extracted.value if extracted else "") == case.shown


def _asked(reader: Callable[[Case], bool], case: Case, kinds: frozenset[str]) -> bool | None:
    return reader(case) if case.kind in kinds else None


_IN_CHECKOUT: Final = """
import json, sys
from et_agent.answers import AnswerKind, extract
# A kind that it does not know is auto.
for kind, question, text, shown in json.load(sys.stdin):
    known = kind in list(AnswerKind)
    found = extract(text, kind if known else "auto", question=question)
    print(json.dumps((found.value if found else "") == shown))
"""


def _by_checkout(path: Path, program: str, rows: Sequence[Sequence[str]]) -> list[Any]:
    """What the et-agent of a checkout says of rows."""
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    others = [one for one in inherited if not Path(one, "et_agent").is_dir()]
    run = subprocess.run(
        [sys.executable, "-P", "-c", program],
        input=json.dumps(rows),
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(path.resolve()), *others])},
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in run.stdout.splitlines()]


def _by_math_verify(case: Case) -> bool:
    from math_verify import (
        ExprExtractionConfig,
        LatexExtractionConfig,
        StringExtractionConfig,
        parse,
        verify,
    )

    configs: list[Any] = [LatexExtractionConfig(), ExprExtractionConfig()]
    if case.kind == "choice":
        configs = [StringExtractionConfig(lowercase=False), *configs]
    found = parse(case.text, configs, parsing_timeout=None)
    if not case.shown:
        return not found
    if case.kind == "choice":
        return case.shown in found
    gold = parse(f"${case.shown}$", configs, parsing_timeout=None)
    return bool(verify(gold, found, timeout_seconds=None))


def _harness() -> Callable[[Case], bool] | None:
    """The harness's readers for GSM8K (`flexible-extract`) and multiple choice (GPQA's)."""
    try:
        from lm_eval.filters.extraction import MultiChoiceRegexFilter, RegexFilter
    except ImportError as error:
        print(f"lm-evaluation-harness is left out: {error}", file=sys.stderr)
        return None
    number = RegexFilter(r"(-?[$0-9.,]{2,})|(-?[0-9]+)", group_select=-1)
    letter = MultiChoiceRegexFilter(
        r"(\([A-Z]\))", group_select=-1, ignore_case=True, ignore_punctuation=True
    )

    def read(case: Case) -> bool:
        from et_agent.answers.choice import options_of

        if case.kind == "choice":
            choices = list(options_of(case.question).values())
            [[found]] = letter.apply([[case.text]], [{"choices": choices}])
            return str(found).strip("()").replace("[invalid]", "") == case.shown
        [[found]] = number.apply([[case.text]], [{}])
        plain = str(found).replace(",", "").replace("$", "").rstrip(".").replace("[invalid]", "")
        try:
            return Fraction(plain) == Fraction(case.shown)
        except (ValueError, ZeroDivisionError):
            return plain == case.shown

    return read


_SOLUTIONS: Final = """
import json, sys
from et_agent.answers import answer_classes, extract, read_value
for kind, question, text, gold in json.load(sys.stdin):
    found, wanted = extract(text, kind, question=question), read_value(gold, kind, question=question)
    right = found is not None and wanted is not None and found.key == wanted.key
    print(json.dumps([found and found.value, right]))
"""


def solutions(earlier: Path) -> dict[str, Any]:
    """How solutions by people are read, by this version and an earlier one."""
    rows = list(_written_by_people())
    found: dict[str, Any] = {}
    read = {
        name: _by_checkout(path, _SOLUTIONS, [row[1:] for row in rows])
        for name, path in (("now", ROOT), ("before", earlier))
    }
    for group in dict.fromkeys(row[0] for row in rows):
        members = [at for at, row in enumerate(rows) if row[0] == group]
        changes = [at for at in members if read["now"][at][0] != read["before"][at][0]]
        found[group] = {
            "texts": len(members),
            **{
                f"the data set's answer, {name}": sum(one[at][1] for at in members)
                for name, one in read.items()
            },
            "read otherwise": len(changes),
            "examples": [
                f"{rows[at][3][-80:]}: {read['before'][at][0]} -> {read['now'][at][0]}"
                for at in changes[:EXAMPLES]
            ],
        }
    return found


def _written_by_people() -> Iterator[tuple[str, str, str, str, str]]:
    """Group, kind, question, text and answer."""
    for row in _rows("gsm8k", "test.jsonl"):
        body, _, gold = row["answer"].partition("####")
        body, gold = re.sub(r"<<.*?>>", "", body).strip(), gold.strip()
        for group, text in (
            ("whole", f"{body}\n#### {gold}"),
            ("last line", body.rpartition("\n")[2]),
            ("marker", f"The answer is {gold}."),
            ("box", f"So \\boxed{{{gold}}}."),
        ):
            yield f"gsm8k, {group}", "number", row["question"], text, gold
    for row in _rows("math500", "test.jsonl"):
        gold = row["answer"]
        for group, text in (
            ("whole", row["solution"]),
            ("marker", f"The answer is ${gold}$."),
            ("box", f"So \\boxed{{{gold}}}."),
        ):
            yield f"math500, {group}", "math", row["problem"], text, gold


def _rows(*parts: str) -> list[dict[str, str]]:
    folder = data_folder()
    if folder is None or not folder.joinpath(*parts).is_file():
        raise SystemExit(f"{'/'.join(parts)} is not in the data folder: set ET_AGENT_DATA")
    lines = folder.joinpath(*parts).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def write_solutions(found: Mapping[str, Any]) -> None:
    """How solutions by people are read, in docs/answers.md."""
    names = (
        "texts",
        "the data set's answer, now",
        "the data set's answer, before",
        "read otherwise",
    )
    rows = [[group, *(str(one[name]) for name in names)] for group, one in found.items()]
    put("docs/answers.md", "solutions", table(["solutions", *names], rows))


def write_changes(found: Mapping[str, Any]) -> None:
    """What changed for stored runs, in docs/answers.md."""
    header = [
        "run",
        "questions",
        "answers",
        "read otherwise",
        "classes joined",
        "right now",
        "wrong now",
        "accuracy before",
        "accuracy now",
    ]
    rows = []
    for name, one in found.items():
        counts = one["counts"]
        answers = sum(n for what, n in counts.items() if what.startswith("answers of kind"))
        otherwise = sum(n for what, n in counts.items() if what.startswith("read otherwise"))
        rest = (
            counts.get(what, 0) for what in ("classes that are one now", "right now", "wrong now")
        )
        accuracy = [f"{one['accuracy'][when]:.3f}" for when in ("before", "after")]
        rows.append([name, *map(str, (one["questions"], answers, otherwise, *rest)), *accuracy])
    put("docs/answers.md", "changed", table(header, rows))


def write_table(found: Mapping[str, Any]) -> None:
    """The counts by kind in docs/answers.md."""
    readers = list(next(iter(found["by kind"].values()))["right"])
    rows = []
    for kind, one in found["by kind"].items():
        counts = [one["right"][name] for name in readers]
        rows.append(
            [f"`{kind}`", str(one["cases"]), *("-" if n is None else str(n) for n in counts)]
        )
    put("docs/answers.md", "readings", table(["kind", "cases", *readers], rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("changed", "corpus", "solutions"))
    parser.add_argument("--earlier", type=Path, help="an earlier checkout, to compare with")
    options = parser.parse_args()
    results = json.loads(OUT.read_text(encoding="utf-8")) if OUT.exists() else {}
    if options.what == "changed":
        results["changed"] = changed()
        write_changes(results["changed"])
    elif options.what == "corpus":
        results["corpus"] = corpus(options.earlier)
        write_table(results["corpus"])
    elif options.earlier is None:
        parser.error("solutions are compared with an --earlier checkout")
    else:
        results["solutions"] = solutions(options.earlier)
        write_solutions(results["solutions"])
    OUT.write_text(json.dumps(results, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
