"""The result of a question: one schema for Python, `--json`, logs and stores."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, JsonValue, model_validator

from et_agent.answers.declining import NOT_THERE
from et_agent.calibration.features import FeatureValues
from et_agent.calibration.finding import CalibrationSource
from et_agent.renaming import warn_of_old_name, with_new_key
from et_agent.soundness import check_result
from et_agent.uncertainty.answer_distribution import AnswerShare
from et_agent.validation import Frozen

__all__ = [
    "AnswerForm",
    "AnswerShare",
    "AskResult",
    "CalibrationReport",
    "CalibrationSource",
    "ClaimReport",
    "ConfidencePart",
    "FieldReport",
    "FieldShare",
    "Leaf",
    "ModelId",
    "Node",
    "SignKind",
    "SteeringSign",
    "TokenChoice",
    "ToolCall",
    "TreeReport",
    "Usage",
]


AnswerForm = Literal[
    "number", "math", "choice", "text", "date", "quantity", "range", "list", "yes_no", "json",
    "code", "long", "tool_call",
]  # fmt: skip
"""The form of an answer: an answer kind, or structured output."""


SignKind = Literal["order", "answer", "turn", "call", "control"]


class ConfidencePart(Frozen):
    """What one feature of the tree contributes to the confidence."""

    feature: str
    """Name of the feature."""
    meaning: str
    """Meaning of the feature."""
    value: float
    """Value of the feature in this tree."""
    log_odds: float
    """Contribution to the log-odds, relative to an average question of the calibrator."""


class CalibrationReport(Frozen):
    """What a confidence rests on."""

    source: CalibrationSource
    """Which map gave it."""
    labels: int
    """Labelled questions of this setting that the map has learnt from; 0 for the general map."""
    interval: tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]]
    """Central 90 % of what P(correct) may be, given these labels."""
    notes: tuple[str, ...] = ()
    """Why no better source was used."""
    largest: float | None = Field(default=None, ge=0, le=1)
    """Largest P(correct) that any tree with as many leaves can get from this map; None if that is not
    known."""
    largest_low: float | None = Field(default=None, ge=0, le=1)
    """The same for the lower end of the interval."""

    @model_validator(mode="after")
    def _check(self) -> "CalibrationReport":
        low, high = self.interval
        if low > high:
            raise ValueError(f"the interval {self.interval} is upside down")
        return self

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return self.interval[0]


class FieldShare(Frozen):
    """What some leaves say of a field."""

    value: JsonValue
    """The value; None for leaves that say null, lack the field, call another tool or give no answer."""
    share: float = Field(ge=0, le=1)
    """Share of these leaves by path weight."""


class FieldReport(Frozen):
    """A field of a structured answer, or an argument of a tool call."""

    value: JsonValue
    """Its value in the answer: a number, a text, true, false, null, or an empty object or list."""
    share: float = Field(ge=0, le=1)
    """Share by path weight of the leaves that agree on the value, at least that of the whole answer.
    `et_agent.answers.fields.field_key` says which values are equal."""
    confidence: float | None = Field(default=None, ge=0, le=1)
    """P(correct) of the field; None where the answer has none."""
    calibration: CalibrationReport | None = None
    """What the confidence rests on; None without one."""
    alternatives: tuple[FieldShare, ...] = ()
    """What the other leaves say, largest share first. All shares of a field sum to 1."""

    @property
    def interval(self) -> tuple[float, float] | None:
        """Central 90 % of what P(correct) may be; None without a confidence."""
        return None if self.calibration is None else self.calibration.interval


class ClaimReport(Frozen):
    """A claim of a long answer: a sentence, or one of several statements of a sentence."""

    text: str
    """The claim, without the marks of lists and emphasis."""
    span: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]]
    """Where its sentence begins and ends in the answer, characters."""
    support: float | None = Field(default=None, ge=0, le=1)
    """Share by path weight of the other leaves that say so, each as far as the model sees it; None if
    there was none to ask. Support, `contradicted` and `silent` sum to 1."""
    contradicted: float | None = Field(default=None, ge=0, le=1)
    """The same of those that say otherwise."""
    silent: float | None = Field(default=None, ge=0, le=1)
    """The same of those that say neither."""
    told_true: float | None = Field(default=None, ge=0, le=1)
    """Probability that it is true, as the model says when it is asked; None if it was not."""
    log_prob: float | None = None
    """Mean log-probability of its sentence's tokens at temperature 1, nats; None if unknown."""
    confidence: float | None = Field(default=None, ge=0, le=1)
    """P(true); None if none was wanted, or if the claim could not be checked."""
    calibration: CalibrationReport | None = None
    """What the confidence rests on; None without one."""

    @model_validator(mode="after")
    def _check(self) -> "ClaimReport":
        if self.span[0] > self.span[1]:
            raise ValueError(f"the span {self.span} is upside down")
        return self


class Usage(Frozen):
    """What a question cost."""

    prompt_tokens: int
    """Tokens of the prompt."""
    cached_tokens: int = 0
    """Tokens of the prompt that were not decoded for this question, because an earlier one, or one
    that was decoded beside it, begins with them."""
    probe_tokens: int = 0
    """Tokens that were read to ask the model whether the question can be answered at all, with
    passages, what the answer owes to them, and of a long answer, what its claims are and who says so;
    with the tokens that spell out these claims."""
    tokens_decoded: int
    """Generated tokens; shared tokens count once."""
    tokens_as_chains: int
    """Tokens that as many separate chains would have needed."""
    tokens_recomputed: int
    """Tokens decoded again because the context was too small to keep them."""
    reasoning_tokens: int = 0
    """Generated tokens that belong to thoughts; shared tokens count once."""
    leaves: int
    """Number of leaves; a leaf counts once per code that ended in it."""
    steps: int
    """Number of decode calls that included the question; of a server, its replies."""
    seconds: float
    """Wall time from the question's first batch to its end."""
    tokens_per_second: float
    """`tokens_decoded` / `seconds`. Other questions may have shared the batches."""

    @model_validator(mode="before")
    @classmethod
    def _read_old(cls, data: Any) -> Any:
        """Results that were written earlier have `tokens_redone`."""
        return with_new_key(data, "tokens_redone", "tokens_recomputed")

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
    """SHA-256 of the model file, or of what a server says of its model."""
    parameters: int = 0
    """Number of weights; 0 for scripted models and results of earlier versions."""
    library: str = ""
    """What decoded: llama-cpp-python, its version and the kernels in use; empty for scripted models and
    results of earlier versions."""


class ToolCall(Frozen):
    """A tool call that the model makes."""

    name: str
    """The tool's name."""
    arguments: dict[str, JsonValue]
    """Arguments by name."""


class Leaf(Frozen):
    """One finished path."""

    node: int
    """Index of its last node in `TreeReport.nodes`."""
    weight: float = Field(ge=0, le=1)
    """Path weight; the weights of all leaves sum to 1."""
    count: int = Field(ge=1)
    """Number of arithmetic-sampling codes that ended here; 1 for a path that was sampled freely."""
    finish: Literal["stop", "length", "cancelled"]
    """Why the path ended: an end token, the token limit, or the caller."""
    tokens: int
    """Length of the whole path in tokens."""
    answer: str | None
    """The answer of the path, as in the distribution; None if it gives none."""
    found_by: str | None
    """Where the answer was found: "boxed", "answer is" or "last line"; "json" or "tool call" for
    structured replies."""
    text: str
    """Text of the path without its thoughts, up to a stop sequence."""
    reasoning: str | None = None
    """What the path thought before, for models that think; None without thoughts. It is no part of
    `text`, and no answer is read from it."""
    reasoning_tokens: int = 0
    """Tokens of the path up to the end of its thought, marks included."""
    mean_log_prob: float | None = Field(le=0)
    """Mean log-probability per token at temperature 1, in nats; None where a server does not tell."""
    tool_calls: tuple[ToolCall, ...] = ()
    """Tool calls of the path."""


class TokenChoice(Frozen):
    """A token that could have come."""

    text: str
    """Its text; empty for tokens that stand for none, such as the end of a reply."""
    probability: float = Field(ge=0, le=1)
    """Its probability at temperature 1."""


class Node(Frozen):
    """A run of tokens between two forks."""

    parent: int | None
    """Index of the parent node; None for the first node."""
    start: int
    """Position of the first token, counted from the first generated token."""
    text: str
    """Text of the tokens."""
    tokens: tuple[int, ...]
    """Token ids."""
    weight: float = Field(ge=0, le=1)
    """Total path weight of all leaves below, in [0, 1]."""
    branch_share: float = Field(ge=0, le=1)
    """Share of this branch at the fork where the node begins: `weight` divided by the parent's."""
    fork: Literal["independent", "stratified", "distinct", "exchangeable"] | None
    """Kind of the fork where the node begins; None for the first node."""
    entropies: tuple[float | None, ...]
    """Token entropies at temperature 1, nats; the first is the fork's. None where only samples are."""
    log_probs: tuple[float | None, ...]
    """Log-probability of each token at temperature 1, in nats; None where a server does not tell."""
    received: tuple[float | None, ...] | None
    """Mean attention that each token received from later tokens of its path; None unless it was read
    (`ask(…, attention=True)`)."""
    prompt_attention: tuple[float, ...] | None
    """Share of attention on the prompt when each token was decided; None unless it was read."""
    pieces: tuple[str, ...] | None = None
    """Text of each token; a character of several belongs to the last. None as `alternatives`."""
    alternatives: tuple[tuple[TokenChoice, ...], ...] | None = None
    """The most likely tokens of each position, largest probability first, the one that came included.
    None unless `ask(…, alternatives=…)` was given."""

    @model_validator(mode="before")
    @classmethod
    def _read_old(cls, data: Any) -> Any:
        """Results that were written earlier have `share`."""
        return with_new_key(data, "share", "branch_share")

    @property
    def share(self) -> float:
        """The old name of `branch_share`."""
        warn_of_old_name("Node.share", "branch_share")
        return self.branch_share


class TreeReport(Frozen):
    """The whole tree."""

    nodes: tuple[Node, ...]
    """All nodes, parents before children."""
    leaves: tuple[Leaf, ...]
    """All leaves, heaviest first."""

    @model_validator(mode="after")
    def _check(self) -> "TreeReport":
        for place, node in enumerate(self.nodes):
            if node.parent is None if place else node.parent is not None:
                raise ValueError("the first node, and no other one, has no parent")
            if place and node.parent not in range(place):
                raise ValueError(f"node {place} stands before its parent")
            columns = (node.log_probs, node.pieces, node.alternatives)
            if any(one is not None and len(one) != len(node.entropies) for one in columns):
                raise ValueError(f"the columns of node {place} differ in length")
        if any(leaf.node not in range(len(self.nodes)) for leaf in self.leaves):
            raise ValueError("a leaf ends in a node that is not there")
        return self


class SteeringSign(Frozen):
    """A place in a text from outside that speaks to the model."""

    where: str
    """The text: "passage 2" or "tool result 1"."""
    kind: SignKind
    """What it looks like: an order, an answer in the form that is asked of the model, another turn of
    the conversation, a tool call, a control token."""
    text: str
    """The place, with what stands around it."""


class AskResult(Frozen):
    """An answer, the distribution over answers, and what they cost."""

    question: str
    """The question as asked; for a conversation, its last user message."""
    passages: tuple[str, ...] = ()
    """What it was to be answered from (`ask(…, context=…)`); empty if the model was asked alone."""
    answer: str | None
    """The answer with the largest share; None if no leaf gave an answer, or if it `declined`. JSON and
    tool calls are in canonical form: keys sorted, no spaces. Of long answers, the one that is most like
    all others (`et_agent.uncertainty.medoid`)."""
    declined: bool = False
    """Whether the largest share says that the passages do not hold the answer. The distribution has it
    as "not in the passages", whatever the words of the leaves."""
    reasoning: str | None = None
    """What the model thought in the answer's heaviest path; None without thoughts."""
    tool_calls: tuple[ToolCall, ...] = ()
    """Tool calls of the answer; empty for an answer in words."""
    fields: Mapping[str, FieldReport] = Field(default={})
    """Fields of a structured answer by path, in its order: "amount", "address.city", "lines[0].price";
    of a tool call by name and argument, "pay.amount". At most 256; empty for an answer in words."""
    claims: tuple[ClaimReport, ...] = ()
    """Claims of a long answer (`kind="long"`), in its order. Its confidence is the mean of theirs."""
    tools: tuple[str, ...] = ()
    """Names of the tools that were passed."""
    steering: tuple[SteeringSign, ...] = ()
    """Places in passages and results of tools that speak to the model, at most 8. It may have done what
    they say; the confidence knows nothing of them."""
    confidence: float | None = Field(default=None, ge=0, le=1)
    """P(correct), and `calibration` says what it rests on; None if no leaf gave an answer, if the run
    was interrupted, or if none was wanted (`calibrator=None`)."""
    calibrated: bool = False
    """Whether `confidence` comes from labelled questions of this model and these settings."""
    calibration: CalibrationReport | None = None
    """What the confidence rests on; None without one."""
    confidence_parts: tuple[ConfidencePart, ...] = ()
    """Contributions of the features to the confidence, largest first."""
    confidence_base: float | None = Field(default=None, ge=0, le=1)
    """P(correct) of an average question by the same map, before contributions; None without them."""
    features: Annotated[dict[str, float | None], AfterValidator(FeatureValues)] = Field(default={})
    """Features of the tree that calibrators use (`et_agent.calibration.FEATURES`); None for a feature
    that was not measured. Empty if there is no answer or the tree was interrupted."""
    share: float = Field(ge=0, le=1)
    """Share of the answer by path weight, 0 without one. It is not a probability of being correct."""
    distribution: tuple[AnswerShare, ...]
    """p(a|x), largest share first. The shares, including that of no answer, sum to 1."""
    predictive_entropy: float = Field(ge=0)
    """ET-PE: entropy of the distribution by path weight, in nats (arXiv 2601.15296)."""
    predictive_entropy_normalised: float = Field(ge=0, le=1)
    """ET-PE divided by log(leaves), in [0, 1]. Compare it only between trees with as many leaves."""
    predictive_entropy_by_count: float = Field(ge=0)
    """Entropy of the distribution by number of leaves, in nats."""
    ess: float
    """Effective sample size of the path weights (Kish 1965), as if all leaves were independent."""
    margin: float = Field(ge=0, le=1)
    """Share of the first answer minus share of the second."""
    cut_off_share: float = Field(ge=0, le=1)
    """Total weight of the leaves that did not end by themselves."""
    kind: AnswerForm
    """Answer kind that was used; "json" with a schema, "tool_call" for an answer that calls tools."""
    kind_reason: str
    """Why this kind was used."""
    complete: bool
    """False if the run was interrupted."""
    notes: tuple[str, ...]
    """Notes for the user, such as adapted settings or missing features."""
    usage: Usage
    """What the question cost."""
    model: ModelId
    """The model that answered."""
    decoder: dict[str, str | int | float | bool | None]
    """Name and settings of the decoder."""
    instruction: str
    """The system prompt that was used, including that of a conversation."""
    single: bool = True
    """Whether the question stood alone, with at most a system message before it."""
    informed: bool = False
    """Whether tools replied, or system messages came later on; false in results of earlier versions."""
    begun: bool = False
    """Whether the caller began the reply; false in results of earlier versions."""
    stops: bool = False
    """Whether the caller gave stop sequences; false in results of earlier versions."""
    chat: Literal["model", "plain"]
    """Whether the model's chat template or a plain prompt was used."""
    template_options: dict[str, JsonValue] = Field(default={})
    """Options that the chat template got, that of `thinking` included."""
    max_thinking_tokens: int | None = None
    """Tokens after which a thought was closed; None where the model was not to think."""
    same: str = "words"
    """Which answers are one: those of the same "words", those of one meaning by "tests" of their words,
    those of one "meaning" as the model says too, or those that a judge of this name takes for one.
    Answers of kinds that are compared by value are one by "words"."""
    seed: int
    """Seed of the run."""
    tree: TreeReport | None = None
    """The tree. `--json` leaves it out unless `--tree` is given."""

    @model_validator(mode="after")
    def _check(self) -> "AskResult":
        check_result(self)
        return self

    @property
    def best_leaf(self) -> Leaf | None:
        """The heaviest leaf of the answer, or of all leaves without an answer; None without a tree."""
        if self.tree is None:
            return None
        leaves, wanted = self.tree.leaves, NOT_THERE if self.declined else self.answer
        return next((leaf for leaf in leaves if leaf.answer == wanted), leaves[0])

    def _repr_html_(self) -> str:
        """What notebooks show."""
        from et_agent.pages import notebook_html

        return notebook_html(self)
