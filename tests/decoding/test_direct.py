"""Letters read right after the prompt, with the options in every order."""

import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent import Direct, EntropyTree, ScriptedModel, ask
from et_agent.answers.choice import options_of, rotations_of
from et_agent.errors import SettingsError
from et_agent.templates.messages import Message

QUESTION = "Which is a mammal?\nA) trout\nB) whale\nC) eagle"


def knowing(right: str, sure: float = 0.8, taste: float = 0.0) -> ScriptedModel:
    """A model that knows an option by its text, with a taste for the first letter."""

    def script(prompt: str) -> Mapping[str, float]:
        options = options_of(prompt)
        if "letter of the correct option only" not in prompt or not options:
            return {"…": 1.0}
        rest = (1 - sure) / (len(options) - 1)
        found = {
            letter: (1 - taste) * (sure if text == right else rest)
            for letter, text in options.items()
        }
        found["A"] += taste
        return found

    return ScriptedModel.from_texts(script)


def test_the_likeliest_option_is_the_answer() -> None:
    with knowing("whale") as model:
        result = ask(model, QUESTION, decoder=Direct(temperature=1.0))
    assert (result.answer, result.kind) == ("B", "choice")
    assert result.share == pytest.approx(0.8, abs=1e-6)
    assert [one.answer for one in result.distribution] == ["B", "A", "C"]
    assert result.usage.leaves == 9, "three options in three orders"
    assert result.confidence is not None


def test_a_taste_for_a_letter_favours_every_option_alike() -> None:
    with knowing("eagle", sure=0.5, taste=0.4) as model:
        result = ask(model, QUESTION, decoder=Direct())
    assert result.answer == "C"
    shares = {one.answer: one.share for one in result.distribution}
    assert shares["A"] == pytest.approx(shares["B"], abs=1e-6)


def test_the_prompts_count_and_no_token_is_generated_but_the_letters() -> None:
    with knowing("whale") as model:
        usage = ask(model, QUESTION, decoder=Direct()).usage
        alone = len(model.chat_tokens([{"role": "user", "content": QUESTION}]))
    assert usage.prompt_tokens > alone
    assert usage.tokens_decoded == 9
    assert usage.tokens_recomputed == 0, "each order is read once"


def test_earlier_turns_stay_as_they_are() -> None:
    turns: list[Message] = [
        {"role": "user", "content": "Which letters?\nA) one\nB) two"},
        {"role": "assistant", "content": "A"},
        {"role": "user", "content": QUESTION},
    ]
    with knowing("whale") as model:
        assert ask(model, turns, decoder=Direct(), kind="choice").answer == "B"


def test_a_plain_prompt_is_read_too() -> None:
    def script(prompt: str) -> Mapping[str, float]:
        found = re.search(r"([A-C])\) whale", prompt)
        asked = prompt.rstrip().endswith("Answer:")
        return {found[1]: 1.0} if found and asked else {"…": 1.0}

    with ScriptedModel.from_texts(script, chat_template=False) as model:
        assert ask(model, QUESTION, decoder=Direct(), chat="plain").answer == "B"


def test_letters_that_the_model_would_never_say_are_a_tie() -> None:
    with ScriptedModel.from_texts({"Well": 1.0}) as model:
        result = ask(model, QUESTION, decoder=Direct())
    assert result.share == pytest.approx(1 / 3, abs=1e-6)
    assert result.confidence is not None
    assert result.confidence < 0.5


@pytest.mark.parametrize(
    ("question", "options"),
    [
        ("How many legs has a cat?", {}),
        (QUESTION, {"kind": "text"}),
        (QUESTION, {"schema": {"type": "object"}}),
    ],
    ids=["no options", "another kind", "a schema"],
)
def test_what_has_no_letters_is_refused_by_name(question: str, options: dict[str, object]) -> None:
    with knowing("whale") as model, pytest.raises(SettingsError, match="Direct reads the letters"):
        ask(model, question, decoder=Direct(), **options)  # type: ignore[call-overload]


def test_options_that_speak_of_others_keep_their_order() -> None:
    question = f"{QUESTION}\nD) all of the above"
    assert rotations_of(question) == [(question, ("A", "B", "C", "D"))]
    assert len(rotations_of("Pick one.\nA) 1\nB) 2\nC) both A and B")) == 1
    assert rotations_of("How many?") == []


TEXTS = st.text(st.sampled_from("xyz123 "), min_size=1, max_size=8).map(str.strip).filter(bool)


@given(st.lists(TEXTS, min_size=2, max_size=6), st.sampled_from(["{}) {}", "({}) {}", "{}. {}"]))
def test_every_option_is_once_behind_every_letter(texts: list[str], form: str) -> None:
    lines = [form.format(letter, text) for letter, text in zip("ABCDEF", texts, strict=False)]
    question = "\n".join(["Which?", *lines])
    turns = rotations_of(question)
    own = options_of(question)
    assert turns[0] == (question, tuple(own))
    for text, letters in turns:
        shown = options_of(text)
        assert [shown[one] for one in own] == [own[letter] for letter in letters]
    for place in range(len(own)):
        assert sorted(letters[place] for _, letters in turns) == sorted(own)


def test_another_decoder_reads_the_same_question_by_reasoning() -> None:
    with ScriptedModel.from_texts({"So \\boxed{B}": 1.0}) as model:
        result = ask(model, QUESTION, decoder=EntropyTree(leaves=4))
    assert (result.answer, result.decoder["name"]) == ("B", "EntropyTree")
