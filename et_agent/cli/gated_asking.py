"""`et-agent gate ask`: a question in, a decision out."""

import sys
from contextlib import ExitStack
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from et_agent.cli.ask import KindName, Passages
from et_agent.cli.decoders import TREE
from et_agent.cli.guard import command
from et_agent.cli.policies import policy_of

if TYPE_CHECKING:
    from et_agent.engines.base import LanguageModel
    from et_agent.gate import Decision

__all__ = ["Cautious", "gated_ask"]

Cautious = Annotated[
    bool | None,
    typer.Option(
        "--cautious/--not-cautious",
        help="Compare the lower end of the confidence's interval, or the confidence itself.",
        show_default="cautious for the general map",
    ),
]

UNANSWERED: Final = 3
"""Exit code where no answer is given."""
_COLOURS: Final = {
    "answer": "green",
    "escalate": "yellow",
    "abstain": "red",
    "clarify": "cyan",
}


class LeastCalibration(StrEnum):
    """What a confidence has to rest on, as `GatePolicy.least_calibration`."""

    GENERAL = "general"
    SHIPPED = "shipped"
    OWN = "own"


@command
def gated_ask(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="The question.")],
    answer_at: Annotated[
        float | None,
        typer.Option(
            help="Lowest confidence at which the question is answered.", show_default="0.8"
        ),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Policy as a TOML file. --answer-at overrides it."),
    ] = None,
    topic: Annotated[
        str | None, typer.Option(help="Topic or tool whose part of the policy applies.")
    ] = None,
    share: Annotated[
        bool,
        typer.Option(
            "--share",
            metavar="",
            help="Use the raw share where the confidence does not count (--least-calibration).",
        ),
    ] = False,
    least_calibration: Annotated[
        LeastCalibration | None,
        typer.Option(
            metavar="MAP",
            help="What a confidence has to rest on to count: general (any), shipped (a shipped "
            "calibrator or your own), or own.",
            show_default="general",
        ),
    ] = None,
    cautious: Cautious = None,
    escalate_to: Annotated[
        str | None,
        typer.Option(metavar="NAME|PATH|hf:…", help="Model that questions are escalated to."),
    ] = None,
    clarify: Annotated[
        bool, typer.Option("--clarify", metavar="", help="Ask back when the question is unclear.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH|hf:…",
            help="The model.",
            show_default="qwen2.5-coder-0.5b",
        ),
    ] = None,
    passages: Passages = None,
    kind: Annotated[
        KindName, typer.Option(metavar="KIND", help="As for `et-agent ask`; auto by default.")
    ] = KindName.AUTO,
    leaves: Annotated[int | None, typer.Option(help="Leaves per tree.", show_default="16")] = None,
    max_tokens: Annotated[
        int | None, typer.Option(help="Longest path in tokens.", show_default="320")
    ] = None,
    early: Annotated[
        bool,
        typer.Option(
            "--early",
            metavar="",
            help="Stop a tree once the decision is nearly certain, to save tokens: "
            "the same as ask --batch 4 --stop-above 0.8 --stop-below 0.34.",
        ),
    ] = False,
    stop_risk: Annotated[
        float | None,
        typer.Option(
            help="Stop a tree once more leaves would hardly change the decision: about this part of "
            "the decisions differs from that of whole trees, for example 0.01.",
            show_default="never",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
    threads: Annotated[
        int | None, typer.Option(help="CPU threads.", show_default="the cores")
    ] = None,
    unpack: Annotated[bool, typer.Option("--unpack", hidden=True)] = False,
    dequantize: Annotated[
        bool,
        typer.Option(
            "--dequantize",
            metavar="",
            help="Decode from float16 weights, also for the larger model.",
        ),
    ] = False,
    log: Annotated[
        str | None, typer.Option(metavar="FILE", help="Store the decision in this file.")
    ] = None,
    keep_texts: Annotated[
        bool, typer.Option("--keep-texts", metavar="", help="Store question and answer in it too.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", metavar="", help="Print the decision as JSON.")
    ] = False,
) -> int:
    """Answer if the confidence is high enough; otherwise escalate or ask back if allowed, or say why.

    Exit code 0 with an answer, 3 without.
    """
    from et_agent.asking.options import AskOptions
    from et_agent.cli import loading
    from et_agent.cli.display import Board
    from et_agent.cli.prompts import read_passages
    from et_agent.cli.terminal import is_watched, write_line
    from et_agent.decoding import EntropyTree
    from et_agent.errors import SettingsError
    from et_agent.gate import EARLY, Action, Clarifier, DecisionLog, Gate, ModelTarget
    from et_agent.weights.catalog import DEFAULT_MODEL

    loading.check_load_settings(context=None, threads=threads)
    if seed < 0:
        raise SettingsError(f"--seed is {seed}: use 0 or more")
    if keep_texts and log is None:
        raise SettingsError("--keep-texts needs a log to store the texts in: add --log FILE")
    changes = {
        "answer_at": answer_at,
        "uncalibrated": "share" if share else None,
        "least_calibration": None if least_calibration is None else least_calibration.value,
        "cautious": cautious,
        "clarify": clarify or None,
    }
    rules = policy_of(policy, {name: one for name, one in changes.items() if one is not None})
    given = {
        "leaves": leaves,
        "max_tokens": max_tokens,
        "stop_risk": stop_risk,
        **(EARLY if early else {}),
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    decoder = EntropyTree(**chosen) if chosen else None
    options = AskOptions(
        context=read_passages(passages), decoder=decoder, kind=kind.value, seed=seed
    )
    spec = model or DEFAULT_MODEL
    with ExitStack() as stack:
        board = stack.enter_context(Board([question], model=spec, decoder=TREE, shown=is_watched()))

        def opened(name: str) -> "LanguageModel":
            return stack.enter_context(
                loading.open_model(
                    name,
                    threads=threads,
                    dequantize=loading.dequantizes(dequantize, unpack),
                    progress=board.transfer,
                )
            )

        loaded = opened(spec)
        kept = None
        if log is not None:
            kept = stack.enter_context(DecisionLog(Path(log).expanduser(), keep_texts=keep_texts))
        target = None
        if escalate_to is not None:
            larger = escalate_to
            target = ModelTarget(lambda: opened(larger), options)
        gate = Gate(
            rules,
            escalate=target,
            clarifier=Clarifier(loaded, seed=seed) if rules.asks_back else None,
            log=kept,
        )
        note = partial(board.note, 0) if board.shown else None
        ended = False
        board.begin(lambda _: ended, lambda: False)
        decision = gate.ask(loaded, question, options, topic=topic, on_progress=note)
        ended = True
        board.close()
        while decision.action is Action.CLARIFY and not as_json and sys.stdin.isatty():
            _print(decision)
            try:
                reply = input("> ").strip()
            except EOFError:
                reply = ""
            if not reply:
                break
            decision = gate.reply(loaded, decision, reply, options)
        if as_json:
            write_line(decision.model_dump_json(indent=2))
        else:
            _print(decision)
    return 0 if decision.action is Action.ANSWER else UNANSWERED


def _how_sure(decision: "Decision", confidence: float) -> str:
    from et_agent.cli.report import basis

    found = decision.calibration
    what = " of the share, not calibrated" if found is None else f", {basis(found)}"
    return f"{'' if decision.answer is not None else 'best answer '}{confidence:.0%}{what}"


def _print(decision: "Decision") -> None:
    from rich.text import Text

    from et_agent.cli.terminal import output_console, visible

    console = output_console()
    action = decision.action.value
    head = Text(action, style=f"bold {_COLOURS[action]}")
    if decision.answer is not None:
        head.append(f"  {visible(decision.answer)}", style="bold default")
    if decision.confidence is not None:
        head.append(f"  {_how_sure(decision, decision.confidence)}", style="default")
    console.print(head)
    if decision.clarifying_question is not None:
        console.print(Text(visible(decision.clarifying_question, keep="\n")))
    console.print(Text(visible(decision.reason), style="dim"))
    for one in decision.alternatives:
        said = "(none)" if one.answer is None else visible(one.answer)
        console.print(Text(f"  {one.share:>6.1%}  {said}", style="dim"))
    for note in decision.notes:
        console.print(Text(f"note: {visible(note)}", style="dim"))
    cost = decision.cost
    console.print(
        Text(
            f"{cost.tokens:,} tokens, {cost.seconds:.1f} s, trace {decision.trace_id}", style="dim"
        )
    )
