"""An operator for Ray Data: questions in, answers with confidences out."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from et_agent.asking.options import DEFAULTS, AskOptions
from et_agent.errors import QuestionError
from et_agent_ray.actors import Answered, answers
from et_agent_ray.cluster import only_on_holders
from et_agent_ray.hosting import Hosting

if TYPE_CHECKING:
    from ray.data import Dataset

__all__ = ["EntropyTreePredictor", "predict"]

_CALLS: Final = 2
"""Batches of an actor at once: while one ends, the other fills the model's batches."""


class EntropyTreePredictor:
    """Answers a column of questions, for `Dataset.map_batches`; `predict` says how.

    Rows keep their columns and their order and get `answer` (None if there is none), `share`,
    `confidence` (NaN if there is none), `result` (an `AskResult` as JSON) and `error` (why there is no
    result, else None). The same questions, options and model give the same rows again, so that Ray
    Data may repeat a batch whose node was lost.

    Args:
        hosting: Which model; it is loaded once.
        options: How questions are answered.
        question: The column with the questions.
        threads: CPU threads.
        tree: Whether results carry the tree.

    Raises:
        EtAgentError: The model cannot be loaded.
    """

    def __init__(
        self,
        hosting: Hosting,
        options: AskOptions = DEFAULTS,
        *,
        question: str = "question",
        threads: int = 1,
        tree: bool = False,
    ) -> None:
        self._model = hosting.open(threads)
        self._options, self._question, self._tree = options, question, tree

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Answer the questions of a batch.

        Raises:
            QuestionError: There is no such column.
        """
        if self._question not in batch:
            raise QuestionError(
                f"there is no column {self._question!r} among {', '.join(batch)}: name it, question=…"
            )
        texts = list(batch[self._question])
        found = answers(self._model, texts, self._options, tree=self._tree)
        return {**batch, **_columns(found)}


def _columns(found: list[Answered]) -> dict[str, list[Any]]:
    results = [one.unpacked() for one in found]
    return {
        "answer": [None if one is None else one.answer for one in results],
        "share": [0.0 if one is None else one.share for one in results],
        "confidence": [
            float("nan") if one is None or one.confidence is None else one.confidence
            for one in results
        ],
        "result": [one.result for one in found],
        "error": [one.error for one in found],
    }


def predict(
    dataset: "Dataset",
    hosting: Hosting,
    options: AskOptions = DEFAULTS,
    *,
    actors: int,
    question: str = "question",
    tree: bool = False,
) -> "Dataset":
    """Answer a column of questions with a model per actor, streamed and with back-pressure.

    Args:
        dataset: The questions.
        hosting: Which model; `cpus` are those of an actor, one if it does not say, and
            `actors_per_node` is left to Ray.
        options: How they are answered.
        actors: Actors, on the nodes that hold the model.
        question: The column with the questions.
        tree: Whether results carry the tree.

    Returns:
        The dataset with the columns of `EntropyTreePredictor`, not decoded yet. Actors that are lost
        with their node are started again, and their batches repeated.

    Raises:
        ClusterError: No node holds the model and has the CPUs.
    """
    import ray

    cpus = hosting.cpus or 1
    return dataset.map_batches(
        EntropyTreePredictor,
        fn_constructor_kwargs={
            "hosting": hosting,
            "options": options,
            "question": question,
            "threads": cpus,
            "tree": tree,
        },
        batch_size=hosting.batch,
        num_cpus=cpus,
        compute=ray.data.ActorPoolStrategy(
            size=actors,
            max_concurrent_calls_per_actor=_CALLS,
            enable_true_multi_threading=True,
        ),
        **only_on_holders(hosting, cpus),
    )
