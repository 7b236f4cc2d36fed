"""The result of a question: one schema for Python, `--json`, logs and stores."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, JsonValue, model_validator

from et_agent.calibration.features import FeatureValues
from et_agent.renaming import warn_of_old_name
from et_agent.uncertainty.answer_distribution import AnswerShare
from et_agent.validation import Frozen

__all__ = [
    "AnswerForm",
    "AnswerShare",
    "AskResult",
    "ConfidencePart",
    "Leaf",
    "ModelId",
    "Node",
    "ToolCall",
    "TreeReport",
    "Usage",
]


AnswerForm = Literal["number", "math", "choice", "text", "json", "tool_call"]
"""What an answer is: of an answer kind, or structured."""


class ConfidencePart(Frozen):
    """What one feature of the tree adds to the confidence."""

    feature: str
    """Its name."""
    meaning: str
    """What it is."""
    value: float
    """Its value in this tree."""
    log_odds: float
    """What it adds to the log-odds, compared with an average question of the calibrator's."""


class Usage(Frozen):
    """What a question cost."""

    prompt_tokens: int
    """Tokens of the prompt."""
    tokens_decoded: int
    """Generated tokens, shared ones once."""
    tokens_as_chains: int
    """Tokens that as many separate chains would have needed."""
    tokens_recomputed: int
    """Tokens decoded again because the context was too small to keep them."""
    leaves: int
    """Leaves, counted with their codes."""
    steps: int
    """Decode calls that the question took part in."""
    seconds: float
    """Wall time from the question's first batch to its end."""
    tokens_per_second: float
    """`tokens_decoded` / `seconds`; other questions may have shared the batches."""

    @model_validator(mode="before")
    @classmethod
    def _read_old(cls, data: Any) -> Any:
        """Results that were written earlier have `tokens_redone`."""
        if isinstance(data, Mapping) and "tokens_redone" in data:
            data = dict(data)
            data["tokens_recomputed"] = data.pop("tokens_redone")
        return data

    @property
    def tokens_redone(self) -> int:
        """The old name of `tokens_recomputed`."""
        warn_of_old_name("Usage.tokens_redone", "tokens_recomputed")
        return self.tokens_recomputed


class ModelId(Frozen):
    """The model that answered."""

    name: str
    """Catalog name or file name."""
    fingerprint: str
    """SHA-256 of the model file."""


class ToolCall(Frozen):
    """A tool that the model wants called."""

    name: str
    """The tool's name."""
    arguments: dict[str, JsonValue]
    """Arguments by name."""


class Leaf(Frozen):
    """One finished path."""

    node: int
    """Index of its last node in `TreeReport.nodes`."""
    weight: float
    """Path weight; the weights of all leaves sum to 1."""
    count: int
    """How many arithmetic-sampling codes ended here; 1 for a free path."""
    finish: Literal["stop", "length", "cancelled"]
    """Why it ended: an end token, the token limit, or the caller."""
    tokens: int
    """Length of the whole path in tokens."""
    answer: str | None
    """What it answers, as the distribution names it; None for nothing."""
    found_by: str | None
    """Where the answer stood: "boxed", "answer is" or "last line"; "json" or "tool call" for
    structured replies."""
    text: str
    """Text of the whole path, up to a stop sequence."""
    mean_log_prob: float
    """Mean log-probability a token at temperature 1, nats."""
    tool_calls: tuple[ToolCall, ...] = ()
    """Tools that it calls."""


class Node(Frozen):
    """A stretch of tokens between forks."""

    parent: int | None
    """Index of the node before; None for the first."""
    start: int
    """Position of the first token, counted from the first generated one."""
    text: str
    """Text of the tokens."""
    tokens: tuple[int, ...]
    """Token ids."""
    weight: float
    """Path weight of all leaves below, in [0, 1]."""
    share: float
    """Share of this side at the fork it begins with, in [0, 1]."""
    fork: Literal["independent", "stratified", "distinct", "exchangeable"] | None
    """Kind of the fork it begins with; None for the first node."""
    entropies: tuple[float, ...]
    """Token entropy at temperature 1, nats; the first is the entropy of the fork."""
    log_probs: tuple[float, ...]
    """Log-probability of each token at temperature 1, nats."""
    received: tuple[float | None, ...] | None
    """Mean attention that each token received from later tokens of its path; None unless it was read
    (`ask(…, attention=True)`)."""
    prompt_attention: tuple[float, ...] | None
    """Share of attention on the prompt when each token was decided; None unless it was read."""


class TreeReport(Frozen):
    """The whole tree."""

    nodes: tuple[Node, ...]
    """Parents before children."""
    leaves: tuple[Leaf, ...]
    """Heaviest first."""


class AskResult(Frozen):
    """An answer, how the model's belief is spread over answers, and what it cost."""

    question: str
    """The question as asked; of a conversation the last user message."""
    answer: str | None
    """The heaviest answer; None when no leaf gave one. JSON and tool calls are in canonical form: keys
    sorted, no spaces."""
    tool_calls: tuple[ToolCall, ...] = ()
    """Tools that the answer calls; () for an answer in words."""
    confidence: float | None = None
    """Calibrated P(correct); None without a calibrator for this model, decoder and prompt, and when
    no leaf gave an answer."""
    calibrated: bool = False
    """Whether `confidence` comes from a calibrator."""
    confidence_parts: tuple[ConfidencePart, ...] = ()
    """What moved the confidence, the strongest first."""
    features: Annotated[dict[str, float | None], AfterValidator(FeatureValues)] = Field(default={})
    """What calibrators see of the tree (`et_agent.calibration.FEATURES`), None where it was not
    measured; empty without an answer and for a tree that was cut short."""
    share: float = Field(ge=0, le=1)
    """Share of the answer by path weight, 0 for no answer: not a probability of being correct."""
    distribution: tuple[AnswerShare, ...]
    """p(a|x), heaviest first; with "none" the shares sum to 1."""
    predictive_entropy: float
    """ET-PE, entropy of the distribution by path weight, nats (arXiv 2601.15296)."""
    predictive_entropy_normalised: float
    """The same divided by log(leaves), in [0, 1]; compare it between trees of equally many leaves."""
    predictive_entropy_by_count: float
    """Entropy of the distribution by number of leaves, nats."""
    ess: float
    """Effective sample size of the path weights (Kish 1965): how many leaves of equal weight they are
    worth. Leaves that share a beginning depend on each other, which is not in it."""
    margin: float
    """Share of the first answer minus that of the second."""
    cut_off_share: float
    """Weight of the leaves that did not end by themselves."""
    kind: AnswerForm
    """Answer kind that was read; "json" with a schema, "tool_call" for an answer that calls tools."""
    kind_reason: str
    """How the kind was decided."""
    complete: bool
    """False when the run was interrupted."""
    notes: tuple[str, ...]
    """What the user should know: settings that were adapted, features that were off."""
    usage: Usage
    """What it cost."""
    model: ModelId
    """The model that answered."""
    decoder: dict[str, str | int | float | bool | None]
    """Name and settings of the decoder."""
    instruction: str
    """The system prompt that was used, a conversation's own included."""
    single: bool = True
    """Whether the question stood alone, with nothing but a system message before it."""
    chat: Literal["model", "plain"]
    """Whether the model's chat template or a plain prompt was used."""
    seed: int
    """Seed of the run."""
    tree: TreeReport | None = None
    """The tree; left out of `--json` unless `--tree`."""

    @property
    def best_leaf(self) -> Leaf | None:
        """The heaviest leaf of the answer, or of all without an answer; None without the tree."""
        if self.tree is None:
            return None
        leaves = self.tree.leaves
        return next((leaf for leaf in leaves if leaf.answer == self.answer), leaves[0])
