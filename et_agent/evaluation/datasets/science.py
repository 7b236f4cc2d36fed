"""SciBench: numbers with units, out of ten college textbooks."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from et_agent.answers import AnswerKind, read_value
from et_agent.evaluation.datasets.base import DataFile, Dataset, Row, json_rows
from et_agent.evaluation.items import Item

__all__ = ["SCIBENCH"]

_FILES = {
    "atkins": "d2dd481ade7a3a2c6a108e2539bddaf2df83ecb5ef4021f04f520d55ec51f5ac",
    "calculus": "69779c85d33afe2bf17d6f2a0cb7ccbb172e609cc21c3e86b17e1c21eb9fb2c6",
    "chemmc": "134baf281dc7636fd01729b7f3b52465a44ea55fec5cb00e76a5fe809da520a0",
    "class": "113f73bf829e73ed4ab7ccb97a3a8cc50531075ebdb13e5421d62230a96e239a",
    "diff": "009547bcb646c7c88532908b9c3a689f02af66233869ea6e35c2d7c676478565",
    "fund": "d6b90173970bfa5ed04355c77731c5a28921a0224a0fb7240817f6cb18ea3790",
    "matter": "641291cb3d62b18bd73daa1f62988733d039f4df940f77f46052e92ac284ea94",
    "quan": "a3c4f483b5dd7ce162d3d95610bb56614b5003ecba80f450c79755811176e4f1",
    "stat": "a0f84cf8fbb94512174e4ecddb5a7bfa2b6ce7ddde0094c70d886a51a003dcfb",
    "thermo": "723e550d350dbb13644bf72eda5f19a5d8978aa5abd1c779399051618604494b",
}
_RAW = "https://raw.githubusercontent.com/mandyyyyii/scibench/main/dataset/original/"
# A unit may carry the power of ten that the answer is a multiple of: "$10^{5}$ J". Braces around the
# exponent go with it, those around the whole stay.
_POWER = re.compile(r"10\s*\^\s*(?:\{\s*([-\u2212]?\d+)\s*\}|([-\u2212]?\d+))")


def _scibench(paths: Sequence[Path], split: str) -> Iterator[Item]:
    del split
    for path in paths:
        for row in json_rows(path):
            yield _item(row, path.stem)


def _item(row: Row, book: str) -> Item:
    answer = row.text("answer_number").replace("−", "-").replace(",", "").lstrip("+")  # noqa: RUF001
    if read_value(answer, AnswerKind.NUMBER) is None:
        raise row.damaged(f"'answer_number' is not a number: {answer!r:.80}")
    unit = str(row.any("unit")).strip()
    power = _POWER.search(unit)
    if power is not None:
        answer = f"{answer}e{(power[1] or power[2]).replace('−', '-')}"  # noqa: RUF001
    plain = _plain(unit if power is None else unit.replace(power[0], "", 1))
    question = row.text("problem_text")
    if plain:
        question += f" Give the answer in {plain}."
    return Item(
        id=f"scibench/{book}/{row.line}",
        question=question,
        kind=AnswerKind.NUMBER,
        golds=(answer,),
        # As in the set's own evaluation (math.isclose with rel_tol=0.05).
        tolerance=0.05,
        subject=book,
    )


def _plain(unit: str) -> str:
    """A unit without dollar signs, or nothing when only those are left."""
    inside = unit.replace("\\times", "").replace("\\mathrm{}", "").strip()
    if inside in ("$", "\\$", "$\\$$", "$\\$"):
        return "dollars"
    inside = inside.strip("$").strip()
    return f"${inside}$" if "\\" in inside or "^" in inside else inside


SCIBENCH = Dataset(
    name="scibench",
    title="college physics, chemistry and mathematics with units (Wang et al. 2024)",
    licence="repository MIT, problems from textbooks: measure only",
    source="mandyyyyii/scibench",
    splits={
        "test": tuple(
            DataFile(f"scibench/{name}.json", (f"{_RAW}{name}.json",), sha256)
            for name, sha256 in _FILES.items()
        )
    },
    read=_scibench,
)
