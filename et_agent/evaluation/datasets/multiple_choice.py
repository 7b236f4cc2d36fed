"""MMLU and GPQA: questions with four lettered choices."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from et_agent.answers import AnswerKind
from et_agent.answers.lettering import lettered
from et_agent.answers.option_letters import LATIN
from et_agent.evaluation.datasets.base import DataFile, Dataset, csv_rows
from et_agent.evaluation.items import Item

__all__ = ["GPQA_DIAMOND", "GPQA_MAIN", "MMLU"]

_SUBJECTS = [
    "abstract_algebra",
    "anatomy",
    "astronomy",
    "business_ethics",
    "clinical_knowledge",
    "college_biology",
    "college_chemistry",
    "college_computer_science",
    "college_mathematics",
    "college_medicine",
    "college_physics",
    "computer_security",
    "conceptual_physics",
    "econometrics",
    "electrical_engineering",
    "elementary_mathematics",
    "formal_logic",
    "global_facts",
    "high_school_biology",
    "high_school_chemistry",
    "high_school_computer_science",
    "high_school_european_history",
    "high_school_geography",
    "high_school_government_and_politics",
    "high_school_macroeconomics",
    "high_school_mathematics",
    "high_school_microeconomics",
    "high_school_physics",
    "high_school_psychology",
    "high_school_statistics",
    "high_school_us_history",
    "high_school_world_history",
    "human_aging",
    "human_sexuality",
    "international_law",
    "jurisprudence",
    "logical_fallacies",
    "machine_learning",
    "management",
    "marketing",
    "medical_genetics",
    "miscellaneous",
    "moral_disputes",
    "moral_scenarios",
    "nutrition",
    "philosophy",
    "prehistory",
    "professional_accounting",
    "professional_law",
    "professional_medicine",
    "professional_psychology",
    "public_relations",
    "security_studies",
    "sociology",
    "us_foreign_policy",
    "virology",
    "world_religions",
]
_ARCHIVE = "https://people.eecs.berkeley.edu/~hendrycks/data.tar"


def _mmlu(paths: Sequence[Path], split: str) -> Iterator[Item]:
    for path in paths:
        subject = path.stem.removesuffix(f"_{split}")
        for row in csv_rows(path, header=False):
            if len(row.values) != 6:
                raise row.damaged(f"{len(row.values)} values instead of 6")
            letter = row.text(5)
            if letter not in ("A", "B", "C", "D"):
                raise row.damaged(f"the answer is {letter!r:.20}, not a letter from A to D")
            choices = [str(row.any(at)).strip() for at in range(1, 5)]
            yield Item(
                id=f"mmlu/{split}/{subject}/{row.line}",
                question=lettered(row.text(0), choices),
                kind=AnswerKind.CHOICE,
                golds=(letter,),
                subject=subject,
            )


MMLU = Dataset(
    name="mmlu",
    title="57 subjects, four choices (Hendrycks et al. 2021)",
    licence="MIT",
    source="hendrycks/test",
    splits={
        split: tuple(
            DataFile(
                f"mmlu/{split}/{subject}_{split}.csv",
                (_ARCHIVE,),
                archived=True,
            )
            for subject in _SUBJECTS
        )
        for split in ("test", "val", "dev")
    },
    read=_mmlu,
)


def _gpqa(paths: Sequence[Path], split: str) -> Iterator[Item]:
    del split
    for row in csv_rows(paths[0], header=True):
        right = row.text("Correct Answer")
        choices = [right, *(row.text(f"Incorrect Answer {number}") for number in (1, 2, 3))]
        # The right answer comes first in the file: shuffled by row, the same on every machine.
        random.Random(f"gpqa {row.line}").shuffle(choices)
        yield Item(
            id=f"{paths[0].stem}/{row.line}",
            question=lettered(row.text("Question"), choices),
            kind=AnswerKind.CHOICE,
            golds=(LATIN[choices.index(right)],),
        )


def _gpqa_set(name: str, file: str) -> Dataset:
    return Dataset(
        name=name,
        title="graduate-level questions (Rein et al. 2023)",
        licence="CC BY 4.0; its authors ask not to show the questions on the web",
        source="idavidrein/gpqa",
        splits={"test": (DataFile(f"gpqa/{file}"),)},
        read=_gpqa,
        missing=(
            "its authors give it in a zip file protected by a password (idavidrein/gpqa): unpack "
            f"{file} into the folder gpqa"
        ),
    )


GPQA_MAIN = _gpqa_set("gpqa-main", "gpqa_main.csv")
GPQA_DIAMOND = _gpqa_set("gpqa-diamond", "gpqa_diamond.csv")
