"""Kinds of input that once went wrong, and the tests that try each: the first case and its relatives.

    python -m benchmarks.faults.kinds

writes the table of docs/reliability.md. A case is one set of parameters; `tests/test_reliability.py`
holds the page against what is counted here.
"""

import importlib
import math
from collections.abc import Mapping
from typing import Final

from benchmarks.documents import put

__all__ = ["KINDS", "cases_of", "table"]

KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "a foreign file in the folder of calibrators, or in place of what is kept": (
        "calibration.test_finding.test_a_file_that_is_no_calibrator_is_left_out",
        "calibration.test_finding.test_a_folder_that_is_none_is_told_and_the_shipped_ones_hold",
        "test_kept.test_a_foreign_file_counts_as_none",
    ),
    "a policy with an unknown or misplaced key, a value of another type": (
        "gate.test_policy.test_toml_that_is_no_policy",
        "gate.test_policy.test_unsound_policies_are_refused",
    ),
    "a fork after a model was loaded": (
        "test_waiting.test_a_model_of_the_parent_is_refused_in_a_child",
        "test_waiting.test_a_model_of_the_parent_can_be_closed_in_a_child",
        "test_waiting.test_a_child_makes_a_model_of_its_own",
        "test_waiting.test_a_question_of_the_parent_is_not_waited_for_in_a_child",
        "test_waiting.test_the_thread_of_a_server_is_not_waited_for_in_a_child",
    ),
    "a text that no context holds": (
        "test_validation.test_a_text_that_no_context_holds_is_refused_before_it_is_read",
    ),
    "a chat template that loops, grows or breaks out": (
        "templates.test_isolated.test_a_template_that_takes_too_much_is_an_error",
        "templates.test_isolated.test_a_template_that_does_not_work_is_an_error",
    ),
    "an escalation target that gives nothing which can be seen or written": (
        "gate.test_escalation.test_a_target_that_returns_nothing_of_use",
        "gate.test_escalation.test_a_target_whose_text_no_file_can_hold_gave_no_answer",
    ),
    "waiting for a model in its own thread": (
        "test_waiting.test_a_callback_that_waits_for_its_own_thread_fails",
    ),
    "a schema that is too large, too wide or too deep": (
        "test_validation.test_what_is_no_json_of_moderate_size_is_refused",
        "grammar.test_schemas.test_a_schema_that_would_overflow_the_stack_or_take_long_is_refused",
        "grammar.test_schemas.test_a_schema_with_a_long_chain_of_references_is_refused",
    ),
    "half surrogate pairs, thousands of levels, circles and NaN in any part of a question": (
        "test_validation.test_no_part_of_a_question_may_be_such",
        "gate.test_log.test_no_text_keeps_a_decision_out_of_the_log",
        "gate.test_judging.test_what_is_no_probability_does_not_count",
    ),
    "something else in place of a model": ("test_validation.test_a_model_has_to_be_one",),
    "flipped bytes": (
        "faults.test_bytes.test_a_changed_column_of_a_decision_is_found",
        "evaluation.test_store.test_a_damaged_question_is_named_and_the_others_stay",
        "evaluation.test_store.test_a_damaged_configuration_is_mended_when_its_run_goes_on",
    ),
    "TOML without end": (
        "test_validation.test_a_dotted_key_without_end_is_refused_at_once",
        "test_validation.test_other_long_texts_are_read",
    ),
    "callbacks and targets that exit, are cancelled or raise what is no error": (
        "test_waiting.test_what_a_callback_raises_ends_its_own_question_alone",
        "test_waiting.test_what_is_raised_at_the_end_of_a_question_stops_nobody",
        "gate.test_escalation.test_a_target_ends_nothing_but_its_call",
    ),
    "texts that are marks of a template or of calls, in every role": (
        "engines.test_marks.test_what_a_text_spells_stays_text_and_what_a_template_writes_is_a_mark",
        "engines.test_marks.test_nor_does_a_mark_that_template_and_text_spell_together",
        "engines.llama_cpp.test_tokens.test_texts_from_outside_never_become_special_tokens",
    ),
    "times that no system can wait": (
        "gate.test_policy.test_seconds_are_such_as_a_system_can_wait",
        "test_validation.test_any_time_can_be_waited",
        "test_validation.test_seconds_are_numbers",
    ),
}
"""Kinds, and tests as `module.function` below tests/."""


def cases_of(test: str) -> int:
    """How many cases a test has, by its parameters."""
    module, _, name = test.rpartition(".")
    function = getattr(importlib.import_module(f"tests.{module}"), name)
    marks = getattr(function, "pytestmark", ())
    return math.prod(len(list(one.args[1])) for one in marks if one.name == "parametrize")


def table() -> list[str]:
    """The table of docs/reliability.md."""
    lines = ["| kind | cases | tests |", "|---|---:|---|"]
    for kind, tests in KINDS.items():
        files = dict.fromkeys(test.rpartition(".")[0].replace(".", "/") for test in tests)
        named = ", ".join(f"`tests/{one}.py`" for one in files)
        lines.append(f"| {kind} | {sum(map(cases_of, tests))} | {named} |")
    return lines


if __name__ == "__main__":
    put("docs/reliability.md", "kinds", ["", *table(), ""])
