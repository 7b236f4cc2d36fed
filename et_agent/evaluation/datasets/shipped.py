"""Questions that the package ships for a first try where no data set is at hand."""

from dataclasses import replace
from pathlib import Path

from et_agent.evaluation.datasets.base import Dataset
from et_agent.evaluation.datasets.own import own_dataset

__all__ = ["CHOICE_SAMPLE", "TEXT_SAMPLE"]


def _shipped(name: str, title: str) -> Dataset:
    return replace(
        own_dataset(Path(__file__).parent / "samples" / f"{name}.jsonl"),
        title=title,
        licence="Apache-2.0, see samples/LICENSE-OWN.txt",
        source="et-agent",
    )


CHOICE_SAMPLE = _shipped("choice-sample", "30 questions with four choices, written for et-agent")
TEXT_SAMPLE = _shipped("text-sample", "30 questions with short answers, written for et-agent")
