"""Templates are programs out of model files: what they may take is limited."""

import threading

import pytest

from et_agent.errors import UnsupportedModelError
from et_agent.templates.chat import ChatTemplate
from et_agent.templates.isolated import _process
from et_agent.templates.messages import Message
from et_agent.templates.own_text import OwnText, joined, own
from et_agent.templates.wire import from_wire, to_wire

ASKED: list[Message] = [{"role": "user", "content": "hi"}]
SHOWN = "{{ messages[0].content }}"
SOUND = "<u>" + SHOWN + "</u>"

GREEDY = {
    "nested loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "a loop in a macro": "{% macro f() %}{% for a in range(99999) %}{{ g() }}{% endfor %}{% endmacro %}"
    "{% macro g() %}{% for a in range(99999) %}{% endfor %}{% endmacro %}{{ f() }}",
    "a text of 6 GB": "{{ 'x' * 6000000000 }}",
    "a padded text": "{{ '%6000000000d' % 1 }}",
    "a text that doubles": "{% set n = namespace(x='a') %}{% for i in range(40) %}"
    "{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}",
    "a list that doubles": "{% set n = namespace(x=[1]) %}{% for i in range(40) %}"
    "{% set n.x = n.x + n.x %}{% endfor %}",
    "a large power": "{{ 9 ** (9 ** (9 ** 9)) }}",
}
BROKEN = {
    "a syntax error": "{% if %}",
    "deep brackets": "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "deep blocks": "{% if 1 %}" * 3000 + "{% endif %}" * 3000,
    "endless recursion": "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
    "half a surrogate pair": "{{ '\\ud800' }}",
    "its own error": "{{ raise_exception('no') }}",
    "the interpreter": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "a function's globals": "{{ raise_exception.__globals__['os'] }}",
}


@pytest.mark.posix
@pytest.mark.parametrize("source", GREEDY.values(), ids=GREEDY)
def test_a_template_that_takes_too_much_is_an_error(source: str) -> None:
    with pytest.raises(UnsupportedModelError, match=r"chat template takes .*--chat plain"):
        ChatTemplate(source + SHOWN, "", "").pieces(ASKED)
    sound = ChatTemplate(SOUND, "", "").pieces(ASKED)
    assert "".join(piece.text for piece in sound) == "<u>hi</u>"


@pytest.mark.parametrize("source", BROKEN.values(), ids=BROKEN)
def test_a_template_that_does_not_work_is_an_error(source: str) -> None:
    with pytest.raises(UnsupportedModelError, match="chat template"):
        ChatTemplate(source + SHOWN, "", "").pieces(ASKED)


@pytest.mark.posix
def test_a_template_that_hangs_at_some_messages_only_harms_their_question_alone() -> None:
    source = (
        "{% if 'now' in messages[0].content %}" + GREEDY["nested loops"] + "{% endif %}" + SOUND
    )
    template = ChatTemplate(source, "", "")
    assert len(template.pieces(ASKED)) == 3
    with pytest.raises(UnsupportedModelError, match="more time"):
        template.pieces([{"role": "user", "content": "now"}])
    assert len(template.pieces(ASKED)) == 3


@pytest.mark.fault("child killed or out of memory")
@pytest.mark.posix
def test_the_process_that_was_killed_from_outside_is_replaced() -> None:
    template = ChatTemplate(SOUND, "", "")
    template.pieces(ASKED)
    assert _process._process is not None
    _process._process.kill()
    _process._process.wait()
    assert len(template.pieces(ASKED)) == 3


def test_many_threads_render_at_once() -> None:
    template, found = ChatTemplate(SOUND, "", ""), list[str]()

    def render(text: str) -> None:
        pieces = template.pieces([{"role": "user", "content": text}])
        found.extend(piece.text for piece in pieces if not piece.control)

    threads = [threading.Thread(target=render, args=(f"text {at}",)) for at in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(f"text {at}" for at in range(16))


def test_what_is_own_stays_own_on_its_way() -> None:
    value = {
        "messages": [{"role": own("user"), "content": "x\0\n\u2028é😀"}],
        "mixed": joined((own("<a>"), "b", own("</a>"))),
        own("key"): (1, -0.5, None, True, [], {}),
    }
    back = from_wire(to_wire(value))
    assert back == {**value, "key": [1, -0.5, None, True, [], {}]}
    assert back["mixed"].mask == b"\1\1\1\0\1\1\1\1"
    assert isinstance(back["messages"][0]["role"], OwnText)
    assert not isinstance(back["messages"][0]["content"], OwnText)
