"""Small chat templates that write thoughts as those of real models do, with the same switches."""

from dataclasses import dataclass
from typing import Any

from et_agent.templates.thoughts import PromptState

__all__ = ["CASES", "Case"]

SWITCH_ON: dict[str, Any] = {"enable_thinking": True}
SWITCH_OFF: dict[str, Any] = {"enable_thinking": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A template and how its model thinks.

    Attributes:
        source: The template.
        marks: What begins a thought, and what ends it.
        controls: Texts that are control tokens of the model's vocabulary.
        reply: A reply with a thought, as the model writes it after the template's own prompt. The
            thought says 5 in a box and "wrong", the answer 7.
        prompt: How its prompts end.
        thinks: Whether it thinks unasked.
        on, off: Options that have it think, and not.
        header: What begins an answer after a thought.
    """

    source: str
    marks: tuple[str, str]
    controls: tuple[str, ...] = ()
    reply: str
    prompt: PromptState = "free"
    thinks: bool = True
    on: dict[str, Any] | None = None
    off: dict[str, Any] | None = None
    header: str = ""


THOUGHT = r"Try 2+3 = \boxed{5}. Wrong, it is 3+4."
ANSWER = r"The answer is 7."


def turns(assistant: str, prompt: str) -> str:
    """A template of one-line turns, with that of the assistant and the end of prompts as given."""
    return (
        "{%- for m in messages %}"
        "{%- if m.role == 'assistant' %}" + assistant + "{%- else %}"
        "{{- '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
        "{%- endif %}{%- endfor %}{%- if add_generation_prompt %}" + prompt + "{%- endif %}"
    )


TAGGED = (
    "{{- '<|im_start|>assistant\n' }}{%- if m.reasoning_content %}"
    "{{- '<think>\n' + m.reasoning_content.strip('\n') + '\n</think>\n\n' }}{%- endif %}"
    "{{- m.content + '<|im_end|>\n' }}"
)
DROPPED = (
    "{%- set said = m.content %}{%- if '</think>' in said %}"
    "{%- set said = said.split('</think>')[-1] %}{%- endif %}"
    "{{- '<|im_start|>assistant\n' + said + '<|im_end|>\n' }}"
)
CHANNELS = (
    "{%- if m.thinking and not add_generation_prompt %}{{- '<|start|>assistant<|channel|>analysis"
    "<|message|>' + m.thinking + '<|end|>' }}{%- endif %}"
    "{{- '<|start|>assistant<|channel|>final<|message|>' + m.content + '<|return|>' }}"
)
CHATML = ("<|im_start|>", "<|im_end|>")

CASES: dict[str, Case] = {
    # Qwen3: the model opens its thought itself; off is an empty one in the prompt.
    "think, opened by the model": Case(
        source=turns(
            TAGGED,
            "{{- '<|im_start|>assistant\n' }}{%- if enable_thinking is defined and not "
            "enable_thinking %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}",
        ),
        marks=("<think>", "</think>"),
        controls=CHATML,
        reply=f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}",
        on=SWITCH_ON,
        off=SWITCH_OFF,
    ),
    # Qwen3.5, Nemotron-3: the prompt opens it.
    "think, opened by the prompt": Case(
        source=turns(
            TAGGED,
            "{{- '<|im_start|>assistant\n<think>\n' }}{%- if enable_thinking is defined and not "
            "enable_thinking %}{{- '\n</think>\n\n' }}{%- endif %}",
        ),
        marks=("<think>", "</think>"),
        controls=CHATML,
        reply=f"{THOUGHT}\n</think>\n\n{ANSWER}",
        prompt="open",
        on=SWITCH_ON,
        off=SWITCH_OFF,
    ),
    # DeepSeek-R1 and its distilled models: no switch, and thoughts are cut off a history's texts.
    "think, without a switch": Case(
        source=turns(DROPPED, "{{- '<|im_start|>assistant\n<think>\n' }}"),
        marks=("<think>", "</think>"),
        controls=CHATML,
        reply=f"{THOUGHT}\n</think>\n\n{ANSWER}",
        prompt="open",
    ),
    # DeepSeek-V3.1: it does not think unless asked.
    "think, closed unless asked": Case(
        source=turns(
            DROPPED,
            "{{- '<|im_start|>assistant\n<think>' }}{%- if not thinking | default(false) %}"
            "{{- '</think>' }}{%- endif %}",
        ),
        marks=("<think>", "</think>"),
        controls=CHATML,
        reply=f"<think>{THOUGHT}</think>{ANSWER}",
        prompt="closed",
        thinks=False,
        on={"thinking": True},
        off={"thinking": False},
    ),
    # gpt-oss: thoughts are messages of a channel of their own.
    "harmony": Case(
        source=turns(CHANNELS, "{{- '<|start|>assistant' }}"),
        marks=("<|channel|>analysis<|message|>", "<|end|>"),
        controls=(
            *CHATML,
            *("<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>"),
        ),
        reply=f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final"
        f"<|message|>{ANSWER}",
        header="<|start|>assistant<|channel|>final<|message|>",
    ),
    # Solar-Open: the same with other marks; a low effort is an empty thought.
    "channels, with an effort": Case(
        source=turns(
            "{%- if m.reasoning %}{{- '<|begin|>assistant<|think|>' + m.reasoning + '<|end|>' }}"
            "{%- endif %}{{- '<|begin|>assistant<|content|>' + m.content + '<|end|>' }}",
            "{%- if reasoning_effort in ['low', 'minimal'] %}"
            "{{- '<|begin|>assistant<|think|><|end|>' }}{%- endif %}{{- '<|begin|>assistant' }}",
        ),
        marks=("<|think|>", "<|end|>"),
        controls=(*CHATML, "<|begin|>", "<|think|>", "<|content|>", "<|end|>"),
        reply=f"<|think|>{THOUGHT}<|end|><|begin|>assistant<|content|>{ANSWER}",
        on={"reasoning_effort": "high"},
        off={"reasoning_effort": "low"},
        header="<|begin|>assistant<|content|>",
    ),
    # Mistral: control tokens, of which histories show none.
    "[THINK]": Case(
        source=turns(
            "{%- if m.content is string %}{{- m.content + '</s>' }}{%- else %}"
            "{%- for b in m.content %}{{- '[THINK]' + b.thinking + '[/THINK]' }}{%- endfor %}"
            "{%- endif %}",
            "{{- '[/INST]' }}",
        ),
        marks=("[THINK]", "[/THINK]"),
        controls=(*CHATML, "[THINK]", "[/THINK]", "[/INST]"),
        reply=f"[THINK]{THOUGHT}[/THINK]{ANSWER}",
    ),
    # Granite 3.3: the system text tells how; the answer is in tags as well.
    "Granite": Case(
        source="{%- if thinking %}{{- 'Write your thoughts between <think></think> and write your "
        "response between <response></response>.\n' }}{%- endif %}"
        + turns("{{- m.content + '\n' }}", "{{- '<|im_start|>assistant\n' }}"),
        marks=("<think>", "</think>"),
        controls=CHATML,
        reply=f"<think>{THOUGHT}</think>\n<response>{ANSWER}</response>",
        thinks=False,
        on={"thinking": True},
        off={"thinking": False},
        header="<response>",
    ),
    # Seed-OSS: a budget is its switch.
    "Seed-OSS": Case(
        source=turns(
            "{{- '<|im_start|>assistant\n' }}{%- if m.reasoning_content %}"
            "{{- '<seed:think>' + m.reasoning_content + '</seed:think>\n' }}{%- endif %}"
            "{{- m.content + '<|im_end|>\n' }}",
            "{{- '<|im_start|>assistant\n' }}{%- if thinking_budget is defined and "
            "thinking_budget == 0 %}{{- '<seed:think>\n</seed:think>' }}{%- endif %}",
        ),
        marks=("<seed:think>", "</seed:think>"),
        controls=CHATML,
        reply=f"<seed:think>{THOUGHT}</seed:think>\n{ANSWER}",
        on={"thinking_budget": -1},
        off={"thinking_budget": 0},
    ),
    # Gemma 4: no thought in a history; closed unless asked.
    "Gemma": Case(
        source=turns(
            "{%- set parts = m.content.split('<channel|>') %}{{- parts[-1] + '<|im_end|>\n' }}",
            "{{- '<|im_start|>model\n' }}{%- if not enable_thinking | default(false) %}"
            "{{- '<|channel>thought\n<channel|>' }}{%- endif %}",
        ),
        marks=("<|channel>thought", "<channel|>"),
        controls=(*CHATML, "<|channel>", "<channel|>"),
        reply=f"<|channel>thought\n{THOUGHT}\n<channel|>{ANSWER}",
        prompt="closed",
        thinks=False,
        on=SWITCH_ON,
        off=SWITCH_OFF,
    ),
    # Command A: control tokens around both; an effort of "none" closes the thought.
    "Cohere": Case(
        source=turns(
            "{%- if m.thinking %}{{- '<|START_THINKING|>' + m.thinking + '<|END_THINKING|>' }}"
            "{%- endif %}{{- '<|START_TEXT|>' + m.content + '<|END_TEXT|>' }}",
            "{{- '<|im_start|>' + '<|START_THINKING|>' }}{%- if reasoning_effort == 'none' %}"
            "{{- '<|END_THINKING|>' }}{%- endif %}",
        ),
        marks=("<|START_THINKING|>", "<|END_THINKING|>"),
        controls=(
            *CHATML,
            *("<|START_THINKING|>", "<|END_THINKING|>", "<|START_TEXT|>", "<|END_TEXT|>"),
        ),
        reply=f"{THOUGHT}<|END_THINKING|><|START_TEXT|>{ANSWER}<|END_TEXT|>",
        prompt="open",
        on={"reasoning_effort": "high"},
        off={"reasoning_effort": "none"},
        header="<|START_TEXT|>",
    ),
    # Kimi-K3: marks of several tokens, the words of which are text.
    "open and close": Case(
        source=turns(
            "{{- '<|open|>think<|sep|>' + (m.reasoning_content or '') + '<|close|>think<|sep|>"
            "<|open|>response<|sep|>' + m.content + '<|close|>response<|sep|>' }}",
            "{%- if thinking is defined and not thinking %}{{- '<|open|>response<|sep|>' }}"
            "{%- else %}{{- '<|open|>think<|sep|>' }}{%- endif %}",
        ),
        marks=("<|open|>think<|sep|>", "<|close|>think<|sep|>"),
        controls=(*CHATML, "<|open|>", "<|close|>", "<|sep|>"),
        reply=f"{THOUGHT}<|close|>think<|sep|><|open|>response<|sep|>{ANSWER}<|close|>response<|sep|>",
        prompt="open",
        on={"thinking": True},
        off={"thinking": False},
        header="<|open|>response<|sep|>",
    ),
    # Apriel 1.6: lines of plain text; the prompt opens the thought.
    "lines of text": Case(
        source=turns(
            "{{- '<|im_start|>assistant\n' }}{%- if m.reasoning %}"
            "{{- m.reasoning + '\n[BEGIN FINAL RESPONSE]\n' }}{%- endif %}{{- m.content }}",
            "{{- '<|im_start|>assistant\nHere are my reasoning steps:\n' }}",
        ),
        marks=("Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]"),
        controls=CHATML,
        reply=f"{THOUGHT}\n[BEGIN FINAL RESPONSE]\n{ANSWER}",
        prompt="open",
    ),
}
"""Reasoning formats by name; with that of templates without any, more than twelve."""
