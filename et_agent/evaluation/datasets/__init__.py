"""Benchmark data sets in their original formats, and files of the user's own."""

from et_agent.evaluation.datasets.base import DataFile, Dataset
from et_agent.evaluation.datasets.registry import DATASETS, find_dataset, guessed_of, load_items

__all__ = ["DATASETS", "DataFile", "Dataset", "find_dataset", "guessed_of", "load_items"]
