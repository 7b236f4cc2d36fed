"""What the models of the documents say."""

from collections.abc import Mapping

from et_agent.answers.choice import options_of
from et_agent.answers.kinds import DIRECT_INSTRUCTION
from et_agent.uncertainty.self_evaluation import ANSWERABLE

TOTALS = {1180: 0.8, 180: 0.2}


def replies(prompt: str) -> Mapping[str, float]:
    """What the models of the page say."""
    if ANSWERABLE in prompt:
        return {"Yes": 0.8, "No": 0.2}
    if DIRECT_INSTRUCTION in prompt:
        return letters(prompt)
    if "Extract the data" in prompt:
        return {f'{{"number": "R-17", "total": {total}}}': share for total, share in TOTALS.items()}
    asked = prompt.strip().rpartition("\n")[2]
    answers: Mapping[str, Mapping[str, float]] = {
        "repeat it word for word": {
            "How many miles is the race?": 0.5,
            "How many hours does the race take?": 0.5,
        },
        "paid 5": {"Done, the answer is 5.": 1.0},
        "paid 4": {"Done, the answer is 4.": 1.0},
        "the bill": {'{"amount": 12}': 1.0},
        "much was": {f'{{"amount": {amount}}}': 0.1 for amount in range(10)},
        "paid 20": {"Done.": 1.0},
        "Pay Ida": {transfer(amount): 0.2 for amount in (5, 10, 20, 50, 100)},
        "Pay 5": {'<tool_call>{"name": "pay", "arguments": {"amount": 5}}</tool_call>': 0.8}
        | {'<tool_call>{"name": "pay", "arguments": {"amount": 50}}</tool_call>': 0.2},
        "team should": {"\\boxed{A}": 0.9, "\\boxed{B}": 0.1},
        "urgent": {"\\boxed{A}": 1.0},
        "angry": {"\\boxed{B}": 1.0},
        "miles": {"The answer is 26.": 1.0},
        "hours": {"The answer is 4.": 1.0},
        "15 %": {"So it is \\boxed{36}": 0.75, "So it is \\boxed{360}": 0.25},
        "How long": {"The answer is 26.": 0.5, "The answer is 4.": 0.5},
        "led the men?": {"\\boxed{Rollo}": 1.0},
        "built the boat?": {"\\boxed{not in the passages}": 1.0},
        "Who won": {"\\boxed{Ida}": 0.4, "\\boxed{Brandt}": 0.3, "\\boxed{nobody}": 0.3},
    }
    for words, said in answers.items():
        if words in (asked if words in ("miles", "hours", "How long") else prompt):
            return said
    return {"I cannot tell": 1.0}  # a beginning that several prompts share


def transfer(amount: int) -> str:
    """A call of the tool of langchain-et-agent's README."""
    arguments = f'{{"amount": {amount}, "to": "Ida"}}'
    return f'<tool_call>{{"name": "pay", "arguments": {arguments}}}</tool_call>'


def letters(prompt: str) -> Mapping[str, float]:
    """The letter that stands before the right option, and another one."""
    options = options_of(prompt)
    right = ("billing", "yes", "Annoyed")
    sure = [one for one, text in options.items() if text.lower().startswith(right)]
    sure = sure or [one for one, text in options.items() if "Annoyed" in text]
    others = [one for one in options if one not in sure]
    return {sure[0]: 0.9, others[0]: 0.1} if sure and others else {"I cannot tell": 1.0}
