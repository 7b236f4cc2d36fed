"""`et-agent gate`: what a gate did, and what one would do."""

from typing import TYPE_CHECKING, Annotated

import typer

from et_agent.cli.gated_asking import Cautious, GateAskCommand, gated_ask
from et_agent.cli.guard import command
from et_agent.cli.labelling import existing_log, learn_logged, say_what_is_left_out
from et_agent.cli.stores import RunNames, StoreFile, open_store
from et_agent.storage import user_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from et_agent.calibration.finding import Held
    from et_agent.calibration.fingerprint import Fingerprint
    from et_agent.evaluation.records import QuestionRecord
    from et_agent.evaluation.store import RunInfo

__all__ = ["gate_app"]

gate_app = typer.Typer(
    help="Answer, escalate, abstain or ask back, depending on the confidence.", no_args_is_help=True
)

gate_app.command("ask", cls=GateAskCommand)(gated_ask)

_Log = Annotated[str, typer.Option("--log", metavar="FILE", help="File with decisions.")]


@gate_app.command("report")
@command
def report(
    log: _Log,
    topic: Annotated[str | None, typer.Option(help="Only this topic or tool.")] = None,
) -> int:
    """Show the rate of each action, the error on labelled decisions, the cost, and drift."""
    from et_agent.cli.terminal import write_line
    from et_agent.gate import DecisionLog
    from et_agent.wording import counted

    with DecisionLog(existing_log(log)) as opened:
        found = opened.report(topic)
    write_line(counted(found.decisions, "decision"))
    for action, count in found.actions.items():
        share = f"{count / found.decisions:.1%}" if found.decisions else "-"
        write_line(f"  {action.value:<9}{count:>7}  {share:>6}")
    if found.sources:
        named = (f"{source} {count}" for source, count in sorted(found.sources.items()))
        write_line(f"confidences by what they rest on: {', '.join(named)}")
    if found.reviews:
        named = (f"{review} {count}" for review, count in sorted(found.reviews.items()))
        write_line(f"tool calls that a person decided about: {', '.join(named)}")
    if found.damaged:
        write_line(f"damaged decisions, left out: {found.damaged}")
    if found.late_replies:
        write_line(f"late replies about tool calls, refused: {found.late_replies}")
    if found.answered_labelled:
        error = found.errors / found.answered_labelled
        write_line(
            f"error among its own answers: {error:.1%} "
            f"({found.errors} of {found.answered_labelled} labelled)"
        )
    else:
        write_line("error among its own answers: unknown, add labels with `et-agent gate label`")
    if found.escalated_labelled:
        write_line(
            f"error of the escalation target: "
            f"{found.escalated_errors / found.escalated_labelled:.1%} "
            f"({found.escalated_errors} of {found.escalated_labelled} labelled)"
        )
    if found.decisions:
        calls = counted(found.calls, "escalation call")
        write_line(
            f"cost: {found.tokens / found.decisions:,.0f} tokens and "
            f"{found.seconds / found.decisions:.1f} s per decision, {calls}"
        )
    if found.drift is not None:
        write_line(
            f"DRIFT: the confidence is {found.drift.direction}. "
            "Fit it again with `et-agent calibrate fit`"
            if found.drift.drifted
            else f"no drift found in {counted(found.drift.questions, 'label')} "
            f"(evidence {found.drift.evidence:.2f}, alarm at {1 / found.drift.alpha:g})"
        )
    return 0


@gate_app.command("label")
@command
def label(
    trace: Annotated[str, typer.Argument(metavar="TRACE", help="Trace id of a decision.")],
    verdict: Annotated[
        str, typer.Argument(metavar="right|wrong", help="Whether the answer was right.")
    ],
    log: _Log,
    learn: Annotated[
        bool,
        typer.Option("--learn", metavar="", help="Let the label move your own calibrator too."),
    ] = False,
) -> int:
    """Record whether the answer of a decision was right."""
    from et_agent.errors import SettingsError
    from et_agent.gate import DecisionLog

    if verdict not in ("right", "wrong"):
        raise SettingsError(f"the label is {verdict!r}: write right or wrong")
    with DecisionLog(existing_log(log)) as opened:
        opened.label(trace, verdict == "right")
    return learn_logged(log, trace) if learn else 0


@gate_app.command("simulate")
@command
def simulate(
    names: RunNames,
    target_error: Annotated[
        list[float] | None,
        typer.Option(
            help="Error among answered questions that must not be exceeded.",
            show_default="0.1, 0.2",
        ),
    ] = None,
    answer_at: Annotated[list[float] | None, typer.Option(help="Fixed thresholds to try.")] = None,
    calibrator: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Calibrator, `general` for the general map, or `none` to use the share.",
            show_default="the best that matches",
        ),
    ] = None,
    cautious: Cautious = None,
    splits: Annotated[int, typer.Option(help="Random halves for each target.")] = 200,
    seed: Annotated[int, typer.Option(help="Seed of the random halves.")] = 0,
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the risk-coverage plot as PNG.")
    ] = None,
    store: StoreFile = None,
) -> int:
    """Show the coverage, error and cost that a gate would have on stored evaluation runs."""
    import numpy as np

    from et_agent.cli.terminal import one_line, visible, write_line
    from et_agent.errors import SettingsError
    from et_agent.evaluation.gating import guarantee, judged_run, outcome, requested_of
    from et_agent.evaluation.plots import draw_risk_coverage
    from et_agent.wording import counted

    for value in [*(target_error or ()), *(answer_at or ())]:
        if not 0 < value < 1:
            raise SettingsError(f"{value} is not between 0 and 1: use a share such as 0.1")
    if splits < 1:
        raise SettingsError("--splits must be 1 or more")
    if calibrator is None:
        say_what_is_left_out()
    drawn = {}
    for name in names:
        with open_store(store) as runs:
            info = runs.run(name)
            records = runs.records(info)
        requested = requested_of(info, records)
        held = _held(calibrator, requested, info, records)
        run = judged_run(info, records, held, cautious=cautious)
        right, confidence = run.right, run.confidence
        drawn[info.name] = (right, confidence)
        asked = counted(len(records), "question")
        write_line(f"{info.name}: {asked}, {right.mean():.1%} right, {run.by}")
        if run.fitted_on_it:
            write_line(
                f"  the {run.map_name} was fitted on questions of {one_line(info.config['data'])}: if "
                "these are among them, what follows is too good, and no bound holds"
            )
        leaves, most = requested.leaves[1], 1.0
        if held is not None:
            kinds = {record.kind for record in records}
            most = max(held.calibrator.largest(leaves, kind)[run.cautious] for kind in kinds)
        for threshold in answer_at or ():
            one = outcome(confidence, right, threshold)
            write_line(
                f"  at {threshold:.2f} or above: {one.coverage:.1%} answered, "
                f"error {_percentage(one.error)}, {1 - one.coverage:.1%} left to escalate or abstain"
            )
            if threshold > most:
                write_line(f"    no tree of {leaves} leaves reaches more than {most:.2f}")
        for target in target_error or (0.1, 0.2):
            kept = guarantee(confidence, right, target, splits=splits, seed=seed)
            write_line(
                f"  error at most {target:g}: {kept.coverage:.1%} answered, error "
                f"{_percentage(kept.error)}, above the target in {kept.broken:.1%} of {splits} halves; "
                f"a threshold qualified in {kept.certified:.0%}"
            )
            if (whole := kept.threshold) is not None:
                write_line(f"    on all of them, {whole.value:.2f} qualifies: it {whole.basis}")
        tokens = np.mean([record.tokens_decoded for record in records])
        write_line(f"  {tokens:,.0f} tokens per question before any escalation")
    if out is not None:
        write_line(visible(str(draw_risk_coverage(drawn, user_path(out)))))
    return 0


def _held(
    given: str | None,
    requested: "Fingerprint",
    info: "RunInfo",
    records: "Sequence[QuestionRecord]",
) -> "Held | None":
    """What gives the confidences of a run; None for the share."""
    from et_agent.calibration import Calibrator
    from et_agent.calibration.finding import Held
    from et_agent.evaluation.gating import best_map

    if given is None:
        return best_map(info, records)
    if given == "none":
        return None
    if given == "general":
        return Held(Calibrator.general(info.parameters), "general")
    own = Calibrator.load(user_path(given))
    own.check(requested)
    return Held(own, "own")


def _percentage(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.1%}"
