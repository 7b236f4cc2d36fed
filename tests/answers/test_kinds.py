import pytest

import et_agent.answers
from et_agent.answers import AnswerKind, instruction
from et_agent.answers.kinds import KINDS
from et_agent.errors import SettingsError


@pytest.mark.parametrize("kind", [kind for kind, reader in KINDS.items() if reader.voted])
def test_every_kind_with_votes_asks_for_a_box(kind: AnswerKind) -> None:
    assert "\\boxed{}" in instruction(kind)
    assert instruction(kind.value) == instruction(kind)


def test_auto_has_no_instruction_of_its_own() -> None:
    with pytest.raises(SettingsError, match="guess_kind"):
        instruction("auto")


def test_every_decided_kind_has_a_module() -> None:
    assert set(KINDS) == set(AnswerKind) - {AnswerKind.AUTO}


@pytest.mark.parametrize(
    "question", ["", "When?", "Name two colours.", "Is it so?", "How far is it?"]
)
@pytest.mark.parametrize(
    "content",
    ["12", "x^2 + 1", "12 apples", "Paris", "", "5 km", "1914-1918", "yes", "July 4, 1776", "a, b"],
)
def test_kinds_never_claim_a_content_equally(content: str, question: str) -> None:
    ranks = [kind.rank(content, question) for kind in KINDS.values()]
    known = [rank for rank in ranks if rank is not None]
    assert known
    assert len(set(known)) == len(known)


def test_the_public_names_exist() -> None:
    assert et_agent.answers.__all__ == sorted(et_agent.answers.__all__, key=_isort)
    for name in et_agent.answers.__all__:
        assert hasattr(et_agent.answers, name)


def _isort(name: str) -> tuple[int, str]:
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)
