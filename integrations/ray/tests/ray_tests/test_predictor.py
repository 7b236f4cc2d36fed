"""The operator of Ray Data: the rows that this process gives, also where a node is lost."""

import pytest

pytest.importorskip("ray.data", exc_type=ImportError)

import ray
from et_agent_ray import EntropyTreePredictor, Hosting, predict

from et_agent import ask
from et_agent.asking.options import AskOptions
from et_agent.decoding import MultiChain
from et_agent.errors import ClusterError, QuestionError
from et_agent.results import AskResult
from ray_tests.conftest import Machines
from ray_tests.models import half_knowing_model, slow_model
from tests.evaluation.conftest import sums

# Ray Data warns of its own settings.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

OPTIONS = AskOptions(decoder=MultiChain(leaves=4), kind="number", calibrator=None)


def test_rows_keep_their_columns_and_a_bad_one_touches_no_other() -> None:
    predictor = EntropyTreePredictor(Hosting(model=half_knowing_model), OPTIONS)
    rows = predictor({"id": [7, 8], "question": ["What is 2 + 6?", "\0"]})
    assert rows["id"] == [7, 8]
    assert rows["error"][0] is None
    assert rows["answer"][1] is rows["result"][1] is None
    assert "NUL" in rows["error"][1]
    result = AskResult.model_validate_json(rows["result"][0])
    assert (rows["answer"][0], rows["share"][0]) == (result.answer, result.share)
    with pytest.raises(QuestionError, match="no column 'question' among text"):
        predictor({"text": ["What is 2 + 6?"]})


def test_a_dataset_is_answered_though_a_node_is_killed(machines: Machines) -> None:
    machines.have(2)
    rows = [{"id": number, "question": item.question} for number, item in enumerate(sums(48))]
    ray.data.DataContext.get_current().enable_progress_bars = False
    dataset = ray.data.from_items(rows, override_num_blocks=12)
    answered = predict(dataset, Hosting(model=slow_model, batch=4), OPTIONS, actors=2)
    found = []
    for row in answered.iter_rows():
        found.append(row)
        if len(found) == 8:
            machines.kill()
    with half_knowing_model() as model:
        wanted = ask(model, [item.question for item in sums(48)], OPTIONS)
    found.sort(key=lambda row: row["id"])
    assert [row["id"] for row in found] == list(range(48))
    assert [(row["answer"], row["share"]) for row in found] == [
        (one.answer, one.share) for one in wanted
    ]


def test_no_node_holds_the_model(machines: Machines) -> None:
    machines.have(1)
    dataset = ray.data.from_items([{"question": "What is 1 + 3?"}])
    with pytest.raises(ClusterError, match="nowhere"):
        predict(dataset, Hosting(model="./nowhere.gguf"), actors=1)
