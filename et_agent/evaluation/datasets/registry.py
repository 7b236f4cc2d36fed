"""The data sets by name, and how a name becomes questions."""

from et_agent.arguments import checks_arguments
from et_agent.errors import DataError
from et_agent.evaluation.datasets.base import Dataset
from et_agent.evaluation.datasets.columns import told
from et_agent.evaluation.datasets.locating import locate_files
from et_agent.evaluation.datasets.mathematics import AIME24, AIME25, MATH500
from et_agent.evaluation.datasets.multiple_choice import GPQA_DIAMOND, GPQA_MAIN, MMLU
from et_agent.evaluation.datasets.open_questions import NQ_OPEN
from et_agent.evaluation.datasets.own import OWN_ENDINGS, decided_kinds, own_dataset, own_rows
from et_agent.evaluation.datasets.science import SCIBENCH
from et_agent.evaluation.datasets.shipped import CHOICE_SAMPLE, TEXT_SAMPLE
from et_agent.evaluation.datasets.word_problems import GSM8K, SVAMP, SVAMP_SAMPLE
from et_agent.evaluation.items import Item
from et_agent.storage import user_path

__all__ = ["DATASETS", "find_dataset", "guessed_of", "load_items"]

DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        SVAMP,
        SVAMP_SAMPLE,
        GSM8K,
        MATH500,
        AIME24,
        AIME25,
        SCIBENCH,
        MMLU,
        GPQA_MAIN,
        GPQA_DIAMOND,
        NQ_OPEN,
        CHOICE_SAMPLE,
        TEXT_SAMPLE,
    )
}
"""Known data sets by name."""


def find_dataset(spec: str) -> tuple[Dataset, str]:
    """The data set and split of `NAME`, `NAME:SPLIT` or a path to .jsonl, .csv or .tsv.

    Raises:
        DataError: There is none.
    """
    name, _, split = spec.partition(":")
    if name.lower() in DATASETS:
        return DATASETS[name.lower()], split or "test"
    if spec.lower().endswith(OWN_ENDINGS):
        return own_dataset(user_path(spec).absolute()), "test"
    known = ", ".join(DATASETS)
    raise DataError(
        f"there is no data set {spec!r}: choose one of {known}, or a .jsonl, .csv or .tsv file"
    )


@checks_arguments(error=DataError)
def load_items(spec: str) -> list[Item]:
    """All questions of a data set.

    Args:
        spec: A name such as "svamp", a name with a split such as "gsm8k:train", or a path.

    Raises:
        DataError: There is no such set or split, a file is missing, or a row is damaged.
    """
    dataset, split = find_dataset(spec)
    items = list(dataset.read(locate_files(dataset, split), split))
    if not items:
        raise DataError(f"{spec} contains no questions: download its files again")
    return items


def guessed_of(spec: str) -> str:
    """In words, what was guessed of a file of the user's own: columns by other names, and kinds.

    Raises:
        DataError: The file cannot be read.
    """
    if spec.partition(":")[0].lower() in DATASETS or not spec.lower().endswith(OWN_ENDINGS):
        return ""
    rows, roles = own_rows(user_path(spec).absolute())
    return "; ".join(filter(None, (told(roles), decided_kinds(rows))))
