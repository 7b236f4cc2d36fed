"""A gate's decision in the terminal."""

from itertools import filterfalse
from typing import TYPE_CHECKING, Final

from et_agent.wording import counted

if TYPE_CHECKING:
    from et_agent.gate import Decision

__all__ = ["print_decision"]

_COLOURS: Final = {
    "answer": "green",
    "escalate": "yellow",
    "abstain": "red",
    "clarify": "cyan",
}


def print_decision(decision: "Decision", *, target: str = "", logged: bool = False) -> None:
    """Print a decision on standard output: what is done and why, claims or other answers, the cost.

    Args:
        decision: The decision.
        target: What a question is escalated to.
        logged: Whether a log has the decision, so that its trace id is of use.
    """
    from rich.text import Text

    from et_agent.asking.notes import is_about_size
    from et_agent.cli.brief import noted
    from et_agent.cli.claims import claims_table
    from et_agent.cli.terminal import one_line, output_console, print_block, visible

    console = output_console()
    action = decision.action.value
    head = Text(action, style=f"bold {_COLOURS[action]}")
    if decision.answer is not None:
        head.append("  " + visible(decision.answer, keep="\n"), style="bold default")
    if decision.confidence is not None:
        head.append(f"  {_how_sure(decision, decision.confidence)}", style="default")
    console.print(head)
    if decision.clarifying_question is not None:
        console.print(Text(visible(decision.clarifying_question, keep="\n")))
    console.print(Text(visible(decision.reason), style="dim"))
    if _is_withheld_by_its_interval(decision):
        hint = "The confidence itself reaches it: --not-cautious compares that."
        console.print(Text(hint, style="dim"))
    cost = decision.cost
    if cost.escalations:
        console.print(Text(f"escalated to {one_line(target)}", style="dim"))
    if decision.claims:
        print_block(console, claims_table(decision.claims, decision.doubtful_claims))
    for one in decision.alternatives if not decision.claims else ():
        said = "no answer" if one.answer is None else visible(one.answer)
        console.print(Text(f"  {one.share:>6.1%}  {said}", style="dim"))
    for note in filterfalse(is_about_size, decision.notes):
        console.print(Text(f"note: {noted(note)}", style="dim"))
    told = f"{counted(cost.tokens, 'token')}, {cost.seconds:.1f} s"
    trace = f", trace {decision.trace_id}" if logged else ""
    console.print(Text(told + trace, style="dim"))


def _is_withheld_by_its_interval(decision: "Decision") -> bool:
    compared, threshold, confidence = decision.compared, decision.threshold, decision.confidence
    if decision.answer is not None or compared is None or threshold is None or confidence is None:
        return False
    return compared < threshold <= confidence


def _how_sure(decision: "Decision", confidence: float) -> str:
    from et_agent.cli.report import basis

    found = decision.calibration
    what = " of the share, not calibrated" if found is None else f", {basis(found)}"
    return f"{'' if decision.answer is not None else 'best answer '}{confidence:.0%}{what}"
