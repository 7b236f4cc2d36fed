"""Formats of calls and thoughts that no template of the bench has, as other models write them."""

import pytest

from et_agent.asking.calling import CallForm
from et_agent.asking.spoken import as_generated
from et_agent.templates.chat import ChatTemplate
from et_agent.templates.messages import FunctionCall
from tests.templates.byte_model import ByteModel
from tests.templates.test_tool_formats import CALLS, CLOCK, TOOLS, WEATHER
from tests.templates.thinking import turns

ASKED = "{{- '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
CALL = "{%- for c in m.tool_calls %}{%- set f = c.function %}"
ARGUMENT = "{%- for k, v in f.arguments.items() %}"
SAID = "(v if v is string else v | tojson)"
JSON = "f.arguments | tojson"
FORMS = {
    "lines of words": CALL
    + "{{- 'Action: ' + f.name + '\nAction Input: ' + "
    + JSON
    + " + '\n' }}{%- endfor %}",
    "a list behind a word": "{{- 'functools[' }}"
    + CALL
    + '{{- \'{"name": "\' + f.name + \'", "arguments": \' + '
    + JSON
    + " + '}' }}{%- if not loop.last %}{{- ', ' }}{%- endif %}{%- endfor %}{{- ']' }}",
    "lines of keys": CALL
    + "{{- '<call>\nname: ' + f.name + '\n' }}"
    + ARGUMENT
    + "{{- k + ': ' + "
    + SAID
    + " + '\n' }}{%- endfor %}{{- '</call>' }}{%- endfor %}",
    "tags with the names": CALL
    + "{{- '<' + f.name + '>' }}"
    + ARGUMENT
    + "{{- '<' + k + '>' + "
    + SAID
    + " + '</' + k + '>' }}{%- endfor %}{{- '</' + f.name + '>' }}{%- endfor %}",
    "Python in a block": "{{- '```tool_code\n' }}"
    + CALL
    + "{{- f.name + '(' }}"
    + ARGUMENT
    + "{{- k + '=' + (v | tojson) }}{%- if not loop.last %}{{- ', ' }}{%- endif %}{%- endfor %}"
    + "{{- ')\n' }}{%- endfor %}{{- '```' }}",
}


def source(calls: str) -> str:
    """A template that writes calls so."""
    return (
        "{%- if tools %}<|im_start|>system\n{{ tools | tojson }}<|im_end|>\n{%- endif %}"
        "{%- for m in messages %}{%- if m.role == 'assistant' %}{{- '<|im_start|>assistant\n' }}"
        "{{- m.content or '' }}{%- if m.tool_calls %}" + calls + "{%- endif %}{{- '<|im_end|>\n' }}"
        "{%- else %}" + ASKED + "{%- endif %}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
    )


@pytest.mark.parametrize("calls", FORMS.values(), ids=FORMS)
def test_calls_are_written_forced_and_read(calls: str) -> None:
    assert {WEATHER["function"]["name"], CLOCK["function"]["name"]} == {c["name"] for c in CALLS}
    model = ByteModel(["<|im_end|>"], ["<|im_end|>"])
    form = ChatTemplate(source(calls), "<s>", "</s>").tool_format()
    reply = CallForm(as_generated(model, form), TOOLS, free=False)  # type: ignore[arg-type]
    constraint = reply.constraint(model)  # type: ignore[arg-type]
    groups: list[tuple[FunctionCall, ...]] = [CALLS[:1], CALLS[1:2], CALLS[2:]]
    groups += [CALLS] if reply.format.between is not None else []
    for made in groups:
        text = str(reply.format.written(made))
        tokens = model.template_tokens(text)
        for at, token in enumerate(tokens):
            allowed = constraint.allowed(tokens[:at])
            assert allowed is None or allowed[token], text[:at]
        found = [(one.name, one.arguments) for one in reply.calls(text)]
        assert found == [(one["name"], one["arguments"]) for one in made]


CUT = "{%- set said = m.content.split('MARK')[-1] %}{{- said + '<|im_end|>\n' }}"
SHOWN = "{{- m.content + '<|im_end|>\n' }}"


@pytest.mark.parametrize(
    ("closing", "opening", "prompt", "state"),
    [
        ("</thought>", "<thought>", "{{- '<|im_start|>assistant\n<thought>\n' }}", "open"),
        ("◁/think▷", "◁think▷", "{{- '<|im_start|>assistant\n' }}", "free"),
        ("</reflection>", "<reflection>", "{{- '<|im_start|>assistant\n' }}", "free"),
        ("<|/musing|>", "<|musing|>", "{{- '<|im_start|>assistant\n<|musing|>' }}", "open"),
    ],
)
def test_what_a_template_cuts_off_earlier_turns_is_a_thought(
    closing: str, opening: str, prompt: str, state: str
) -> None:
    form = ChatTemplate(turns(CUT.replace("MARK", closing), prompt), "<s>", "</s>").reasoning
    assert form is not None
    assert (form.opening, form.closing, form.prompt) == (opening, closing, state)
    assert form.parted(f"{opening}5?{closing}7") == ("5?", "7")


def test_a_mark_at_which_nothing_is_cut_is_none() -> None:
    made = turns("{{- '<b>' + m.content + '</b>' }}", "{{- '<|im_start|>assistant\n' }}")
    assert ChatTemplate(made, "<s>", "</s>").reasoning is None
    assert ChatTemplate(turns(SHOWN, ""), "<s>", "</s>").reasoning is None
