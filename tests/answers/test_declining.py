# Unicode look-alikes are what models write.

import pytest

from et_agent.answers import AnswerKind, answer_classes, extract
from et_agent.answers.declining import DECLINED, NOT_THERE, declines

DECLINING = (
    "Ce n'est pas mentionné dans le texte.",
    "n'est pas précisé",
    "el texto no lo menciona",
    "il testo non lo dice",
    NOT_THERE,
    "Not in the passage.",
    "not stated",
    "Not explicitly mentioned in the given text",
    "The passages do not say it.",
    "The passage doesn't mention who built it.",
    "They do not say",
    "It is not specified in the context.",
    "Information not provided",
    "No answer",
    "No information is given in the passages",
    "No captain is mentioned",
    "there is no mention of this in the text",
    "cannot be determined from the passage",
    "Unknown",
    "N/A",
    "n/a.",
    "I don't know.",
    "I cannot tell from this.",
    "unable to determine",
    "unanswerable",
    "\\text{not in the passages}",
    "**Not mentioned**",
    "Nicht angegeben",
    "Der Text sagt das nicht.",
    "keine Angabe",
    "Le texte ne le dit pas.",
    "non précisé",
    "No se menciona en el texto",
    "Non specificato",
    "Não mencionado",
    "未提及",
    "文中没有提到",
    "記載なし",
    "Not in these passages",
    "not in passage 1",
    "None of the passages say it",
    "Die Antwort steht nicht im Text.",
    "La réponse n'est pas dans le texte.",
    "La respuesta no está en el texto.",
    "La risposta non è nel testo.",
    "A resposta não está no texto.",
    "Ответ не указан в тексте.",
    "정답은 본문에 없습니다.",
    "答案不在文中。",
    "答えは文中にありません。",
)
ANSWERING = (
    "dit",
    "donné",
    "mentionné dans le traité",
    "indiquée",
    "The document does not permit smoking",
    "el texto no permite fumar",
    "il testo non cambia",
    "Rollo",
    "The Unknown Soldier",
    "NA",
    "None",
    "No one is perfect",
    "not Paris",
    "No, they were named kings",
    "Nicht am Montag",
    "the passage of the Rhine",
    "The text of the Bible",
    "Noto",
    "The document was not signed",
    "The material does not burn",
    "Information is not free",
    "None of these materials conducts electricity",
    "",
    "not in the passages " * 40,
)


@pytest.mark.parametrize("text", DECLINING)
def test_every_sensible_wording_declines(text: str) -> None:
    assert declines(text)


@pytest.mark.parametrize("text", ANSWERING)
def test_answers_do_not_decline(text: str) -> None:
    assert not declines(text)


@pytest.mark.parametrize("kind", [kind for kind in AnswerKind if kind is not AnswerKind.AUTO])
def test_all_that_decline_are_one_class_of_any_kind(kind: AnswerKind) -> None:
    question = "Which?\nA) one\nB) two"
    texts = [
        "\\boxed{not stated}",
        "The passages do not say it.",
        {"choice": "\\boxed{B}"}.get(kind.value, "\\boxed{2}"),
        "The answer is unknown.",
    ]
    found = [extract(text, kind, question=question, declining=True) for text in texts]
    assert [one is not None and one.declined for one in found] == [True, True, False, True]
    classes = answer_classes(found, kind)
    assert classes.index_of_leaf == (0, 0, 1, 0)
    assert classes.labels[0] == NOT_THERE


def test_without_passages_the_same_words_are_an_answer() -> None:
    found = extract("\\boxed{unknown}", AnswerKind.TEXT)
    assert found is not None
    assert (found.value, found.key == DECLINED) == ("unknown", False)


def test_a_box_counts_before_what_is_said_after_it() -> None:
    found = extract("\\boxed{1934}\nThe passage does not say more.", "text", declining=True)
    assert found is not None
    assert found.value == "1934"


def test_a_sentence_that_declines_and_was_cut_off_says_nothing() -> None:
    assert extract("The passages do not say", "text", finished=False, declining=True) is None


@pytest.mark.parametrize(
    "text",
    [
        "The answer is not in the passages.",
        "Answer: not in the passages",
        "The final answer is **not found** in the given passages.",
        "The answer is not mentioned.",
        "Die Antwort ist nicht im Text.",
        "The answer is Paris? No.\nThe answer is not in the passages.",
    ],
)
@pytest.mark.parametrize("kind", ["auto", "text", "number", "yes_no", "json"])
def test_a_marker_may_deny_that_the_passages_say_it(text: str, kind: str) -> None:
    found = extract(text, kind, question="Who built it?", declining=True)
    assert found is not None
    assert found.declined


def test_a_marker_that_denies_something_else_declines_nothing() -> None:
    assert extract("The answer is not 5.", "number", declining=True) is None
    found = extract("\\boxed{5}\nThe answer is not in the passages.", "number", declining=True)
    assert found is not None
    assert found.value == "5"


def test_a_denial_that_was_cut_off_says_nothing() -> None:
    text = "The answer is not in the passages"
    assert extract(text, "text", finished=False, declining=True) is None
    assert extract(f"{text}\nSo", "text", finished=False, declining=True) is not None
