"""Estimators that ask the model, over stored runs: nothing is decoded again."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from et_agent.arguments import checks_arguments
from et_agent.engines.base import LanguageModel
from et_agent.errors import DataError, SettingsError
from et_agent.evaluation.items import Item
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.store import RunInfo, RunStore
from et_agent.uncertainty.estimators.p_true import NAME as P_TRUE
from et_agent.uncertainty.estimators.semantic_entropy import ENTAILED
from et_agent.uncertainty.self_evaluation import meaning_classes, p_true

__all__ = ["ask_the_model", "needed_extras"]

_NEEDS: Final = {"p-true": P_TRUE, "semantic-entropy-entailed": ENTAILED}


def needed_extras(estimators: Sequence[str]) -> list[str]:
    """Names of the stored values that estimators of cost "model" rest on."""
    return [_NEEDS[name] for name in estimators if name in _NEEDS]


@checks_arguments
def ask_the_model(
    store: RunStore,
    run: RunInfo,
    model: LanguageModel,
    items: Mapping[str, Item],
    extras: Sequence[str],
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Fill in what estimators need from the model; what is stored already stays.

    Args:
        store: The store.
        run: A run of it.
        model: The model that decoded the run.
        items: Its questions by id.
        extras: Values to fill in, as `needed_extras` names them.
        on_progress: Told (questions done, questions) after each.

    Raises:
        SettingsError: The model is another one than the run's.
        DataError: A question of the run is not among `items`.
    """
    ours = dict(run.config.get("model", {})).get("fingerprint")
    if ours != model.info.fingerprint:
        raise SettingsError(
            f"the run {run.name} was not decoded by {model.info.name}: load the model of the run"
        )
    records = store.records(run)
    for at, record in enumerate(records, 1):
        item = items.get(record.item)
        if item is None:
            raise DataError(
                f"the run {run.name} has a question {record.item!r} that is not in the data set: "
                "use the data set of the run"
            )
        for name in extras:
            if name not in record.extras:
                store.add_extra(run, record.item, name, _value(name, model, item, record))
        if on_progress is not None:
            on_progress(at, len(records))


def _value(name: str, model: LanguageModel, item: Item, record: QuestionRecord) -> Any:
    if name == ENTAILED:
        return meaning_classes(model, item.question, record.answers)
    top = record.leaves.top
    if top is None:
        return None
    # Samples with repetitions, as they came: how often an idea came up is part of the question.
    ideas = [record.answers[one] for one in record.leaves.answer.tolist() if one >= 0]
    value = p_true(model, item.question, ideas, record.answers[top])
    return None if math.isnan(value) else value
