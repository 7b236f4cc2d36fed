"""Answers questions on a cluster and prints each as soon as all before it are done."""

from et_agent.cli import loading
from et_agent.cli.answering import AskSettings, print_answer
from et_agent.cli.asking_options import read_calibrator
from et_agent.cli.brief import Tally
from et_agent.cli.cluster import ray_engine
from et_agent.cli.guard import USER_ERROR, fail
from et_agent.cli.pages import decision_about
from et_agent.errors import SettingsError

__all__ = ["answer_on_cluster"]


def answer_on_cluster(settings: AskSettings, address: str | None) -> int:
    """Answer all questions on a Ray cluster, print them; gives the exit code.

    Raises:
        SettingsError: A setting is for this process.
        ClusterError: There is no cluster, or no node that holds the model is left.
    """
    of_process = {
        "--learn": settings.learn,
        "--prefix-file": settings.load["prefix_file"] is not None,
    }
    if named := [name for name, given in of_process.items() if given]:
        raise SettingsError(f"{', '.join(named)}: for --engine local; leave it out")
    given = settings.load
    load = loading.load_settings(
        context=given["context"],
        width=given["width"],
        attention=given["attention"],
        dequantize=given["dequantize"],
        gpu=given["gpu"],
        prefix_memory=given["prefix_memory"],
    )
    calibration = read_calibrator(settings.calibrator)
    options = settings.options.changed(calibrator=calibration, attention=settings.attention)
    total = len(settings.questions)
    tree = settings.files.wanted or settings.draws
    code, tally = 0, Tally(total)
    with ray_engine(settings.model, address=address, threads=given["threads"], load=load) as engine:
        texts = (question.text for question in settings.questions)
        for index, one in enumerate(engine.answered(texts, options, tree=tree)):
            result = one.unpacked()
            if result is None:
                where = settings.questions[index].where
                tally.add_failure()
                code = fail(f"{where}: {one.error}", USER_ERROR)
                continue
            tally.add(result)
            print_answer(settings, result, index, total)
            if settings.files.wanted:
                number = index + 1 if total > 1 else 0
                settings.files.write(result, number=number, decision=decision_about(result))
    if settings.in_lines:
        tally.print()
    return code
