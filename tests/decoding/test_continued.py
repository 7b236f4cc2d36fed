"""Continuations of one prompt, each with a tree of its own."""

from collections import Counter
from collections.abc import Mapping

import pytest

from et_agent import ScriptedModel
from et_agent.asking.reading import path_text
from et_agent.decoding.base import RunInputs
from et_agent.decoding.continued import Continued, ContinuedRun, common_length
from et_agent.decoding.scheduler import scheduler_of
from et_agent.decoding.tree import Finish
from et_agent.errors import SettingsError


def coin(prompt: str) -> Mapping[str, float]:
    return {"heads": 0.75, "tails": 0.25} if "coin" in prompt else {"six": 0.5, "one": 0.5}


def ran(
    model: ScriptedModel, texts: list[str], leaves: int, seed: int = 0, max_tokens: int = 320
) -> ContinuedRun:
    prompts = [model.chat_tokens([{"role": "user", "content": text}]) for text in texts]
    common = common_length(prompts)
    decoder = Continued(
        continuations=tuple(tuple(prompt[common:]) for prompt in prompts),
        leaves=leaves,
        temperature=1,
        max_tokens=max_tokens,
    )
    inputs = RunInputs(prompt_length=common, stop_tokens=model.info.stop_tokens, seed=seed)
    run = scheduler_of(model).submit(prompts[0][:common], decoder, inputs).result()
    assert isinstance(run, ContinuedRun)
    return run


def said(model: ScriptedModel, run: ContinuedRun) -> Counter[tuple[int, str]]:
    """How often each continuation got each text, counted with codes."""
    found: Counter[tuple[int, str]] = Counter()
    for branch in run.tree.branches[1:]:
        assert branch.finish is Finish.STOP
        found[run.given(branch.id), path_text(model, run.generated(branch.id))] += branch.codes
    return found


def test_each_continuation_gets_its_leaves_with_the_right_shares() -> None:
    with ScriptedModel.from_texts(coin) as model:
        run = ran(model, ["Throw a coin.", "Throw a die.", "Throw a coin!"], leaves=8)
        found = said(model, run)
        assert {
            given: sum(count for (owner, _), count in found.items() if owner == given)
            for given in range(3)
        } == {0: 8, 1: 8, 2: 8}
        generated = sum(len(text) + 1 for _, text in found)
        # "tails" and "heads" part at their first letter, so nothing is shared.
        assert run.tokens_generated == generated


def test_leaves_are_independent_samples() -> None:
    """Means and variances over seeds are those of a binomial; evenly spread codes have less."""
    with ScriptedModel.from_texts(coin) as model:
        heads = [
            said(model, ran(model, ["Throw a coin.", "Throw a die."], 8, seed))[0, "heads"]
            for seed in range(150)
        ]
    mean, variance = sum(heads) / 150, sum((one - 6) ** 2 for one in heads) / 150
    assert abs(mean - 6) < 4 * (1.5 / 150) ** 0.5
    assert 0.9 < variance < 2.3, "8 * 0.75 * 0.25 = 1.5"


def test_the_common_beginning_is_decoded_once() -> None:
    beginning = "Long story. " * 20
    with ScriptedModel.from_texts(coin) as model:
        run = ran(model, [beginning + "coin", beginning + "a coin"], leaves=1)
        assert model.decoded < len(beginning) + 40 + run.tokens_generated


def test_the_same_seed_gives_the_same_leaves() -> None:
    with ScriptedModel.from_texts(coin) as model:
        texts = ["Throw a coin.", "Throw a die."]
        assert said(model, ran(model, texts, 3, seed=4)) == said(
            model, ran(model, texts, 3, seed=4)
        )


def test_the_token_limit_counts_generated_tokens() -> None:
    with ScriptedModel.from_texts({"x" * 50: 1.0}) as model:
        run = ran(model, ["a" * 30, "b" * 10], leaves=2, max_tokens=5)
        assert [len(run.generated(branch.id)) for branch in run.tree.branches[1:]] == [5, 5]
        assert {branch.finish for branch in run.tree.branches[1:]} == {Finish.LENGTH}
    with ScriptedModel.from_texts({"x" * 50: 1.0}, context=20) as model:
        run = ran(model, ["a", "b"], leaves=1)
        # 1 token of prompt, 2 that were given: the context has room for 17 more.
        assert [len(run.generated(branch.id)) for branch in run.tree.branches[1:]] == [17, 17]


def test_a_run_that_is_stopped_first_generated_nothing() -> None:
    inputs = RunInputs(prompt_length=1, stop_tokens=frozenset({256}))
    run = Continued(continuations=((1, 2),), leaves=2).start(inputs)
    run.cancel()
    assert run.tokens_generated == 0


def test_common_length() -> None:
    assert common_length([[1, 2, 3], [1, 2, 4]]) == 2
    assert common_length([[1, 2], [1, 2, 4]]) == 1
    assert common_length([[5, 2]]) == 1
    with pytest.raises(SettingsError, match="continuations"):
        Continued(continuations=())
