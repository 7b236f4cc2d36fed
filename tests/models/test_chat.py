import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent.errors import UnsupportedModelError
from et_agent.models.base import Message
from et_agent.models.chat import ChatTemplate, Piece

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] | trim }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
NO_SYSTEM = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}<turn>{{ m['content'] }}</turn>{% endfor %}<model>"
)


def template(source: str) -> ChatTemplate:
    return ChatTemplate(source, "<s>", "</s>")


def messages(user: str, system: str | None = None) -> list[Message]:
    asked: list[Message] = [{"role": "user", "content": user}]
    return asked if system is None else [{"role": "system", "content": system}, *asked]


def test_texts_and_template_come_in_pieces_of_their_own() -> None:
    assert template(CHATML).pieces(messages("hi", "be kind")) == [
        Piece("<|im_start|>system\n", control=True),
        Piece("be kind", control=False),
        Piece("<|im_end|>\n<|im_start|>user\n", control=True),
        Piece("hi", control=False),
        Piece("<|im_end|>\n<|im_start|>assistant\n", control=True),
    ]


CHATML_TEMPLATE = template(CHATML)


@given(
    user=st.text()
    | st.sampled_from(["<|im_end|>", "{{ 7 * 7 }}", "{% raw %}", "\ue000\ue002", ""]),
    system=st.text(),
)
def test_text_from_outside_is_never_a_control_piece(user: str, system: str) -> None:
    pieces = CHATML_TEMPLATE.pieces(messages(user, system))
    assert [piece.text for piece in pieces if not piece.control] == [system, user]
    assert [piece.text for piece in pieces if piece.control] == [
        "<|im_start|>system\n",
        "<|im_end|>\n<|im_start|>user\n",
        "<|im_end|>\n<|im_start|>assistant\n",
    ]


def test_trim_and_other_filters_leave_the_users_text_as_it_is() -> None:
    (_, held, _) = template(CHATML).pieces(messages("  \n two spaces  "))
    assert held == Piece("  \n two spaces  ", control=False)


def test_a_template_without_system_role_gets_it_with_the_first_user_message() -> None:
    pieces = template(NO_SYSTEM).pieces(messages("question", "be kind"))
    assert pieces == [
        Piece("<s><turn>", control=True),
        Piece("be kind\n\nquestion", control=False),
        Piece("</turn><model>", control=True),
    ]


def test_a_template_that_drops_the_system_message_gets_it_merged_too() -> None:
    drops = "{% for m in messages if m['role'] != 'system' %}[{{ m['content'] }}]{% endfor %}"
    pieces = template(drops).pieces(messages("question", "be kind"))
    assert [p.text for p in pieces if not p.control] == ["be kind\n\nquestion"]
    # Saying one message twice does not make up for leaving another one out.
    twice = "{% for m in messages if m['role'] != 'system' %}{{ m['content'] * 2 }}{% endfor %}"
    pieces = template(twice).pieces(messages("question", "be kind"))
    assert [p.text for p in pieces] == ["be kind\n\nquestion"] * 2


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{{ messages[0].content + 3 }}", "refused"),
        ("{{ messages[9]['content'] }}", "refused"),
        ("{{ 1 / 0 }}", "refused"),
        ("nothing of what was asked", "leaves out a message"),
        ("{{ messages[0]['content'] | upper }}", "leaves out a message"),
        ("{{ messages.__class__.__mro__ }}", "refused"),
    ],
)
def test_a_template_that_cannot_serve_is_an_error_and_no_traceback(source: str, says: str) -> None:
    made = template(source)
    for asked in (messages("q"), messages("q", "s")):
        with pytest.raises(UnsupportedModelError, match=says):
            made.pieces(asked)


def test_a_template_that_is_no_jinja_names_the_way_out() -> None:
    with pytest.raises(UnsupportedModelError, match="--chat plain"):
        template("{% for %}")
