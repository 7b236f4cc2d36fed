"""Measures answers and their confidence: data sets, runs, estimators, metrics and reports."""

from et_agent.evaluation.archive import ArchivedRun, RunArchive, import_runs
from et_agent.evaluation.datasets import load_items
from et_agent.evaluation.exchange import export_run, import_run, read_run
from et_agent.evaluation.items import Item, sample
from et_agent.evaluation.learning import LearningProgress, ModelLearning
from et_agent.evaluation.learning_sets import LearningSet, own_sets, public_sets
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.report import write_report
from et_agent.evaluation.running import EvaluationProgress, evaluate
from et_agent.evaluation.self_scoring import ask_the_model
from et_agent.evaluation.store import RunInfo, RunStore
from et_agent.evaluation.summaries import compare, curve, summarise

__all__ = [
    "ArchivedRun",
    "EvaluationProgress",
    "Item",
    "LearningProgress",
    "LearningSet",
    "ModelLearning",
    "QuestionRecord",
    "RunArchive",
    "RunInfo",
    "RunStore",
    "ask_the_model",
    "compare",
    "curve",
    "evaluate",
    "export_run",
    "import_run",
    "import_runs",
    "load_items",
    "own_sets",
    "public_sets",
    "read_run",
    "sample",
    "summarise",
    "write_report",
]
