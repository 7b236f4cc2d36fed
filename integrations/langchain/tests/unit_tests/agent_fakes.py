"""A chat model that says what it is told to, with the metadata that `ChatEntropyTree` gives."""

from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool, tool
from langchain_et_agent.metadata import METADATA_KEY, metadata_of
from pydantic import ConfigDict, Field

from et_agent import AskResult, MultiChain, ScriptedModel, ask
from et_agent.answers.structured import canonical
from et_agent.results import CalibrationReport


def result_with(answer: str, confidence: float | None, question: str = "How many?") -> AskResult:
    """A result that a tree gave, with a confidence as a calibrator would give it."""
    with ScriptedModel.from_texts({"The answer is 4.": 0.7, "The answer is 5.": 0.3}) as model:
        result = ask(model, question, decoder=MultiChain(leaves=4), kind="number", calibrator=None)
    first, *others = result.distribution
    said = (first.model_copy(update={"answer": answer}), *others)
    update: dict[str, Any] = {"answer": answer, "confidence": confidence, "distribution": said}
    if confidence is not None:
        own = CalibrationReport(source="own", labels=99, interval=(confidence, confidence))
        update |= {"calibrated": True, "calibration": own}
    return result.model_copy(update=update)


def says(text: str, confidence: float | None, **more: Any) -> AIMessage:
    """A message with a result."""
    metadata = metadata_of(result_with(text, confidence))
    return AIMessage(text, response_metadata={METADATA_KEY: metadata}, **more)


Call = tuple[str, dict[str, Any]]


def written(*wanted: Call) -> str:
    """Calls as an answer has them."""
    return "; ".join(f"{name}({canonical(args)})" for name, args in wanted)


def calls(confidence: float | None, *wanted: Call, others: Sequence[Call] = ()) -> AIMessage:
    """A message with tool calls and a result; other paths of the tree called `others`."""
    made = [
        {"name": name, "args": args, "id": f"call_{number}", "type": "tool_call"}
        for number, (name, args) in enumerate(wanted)
    ]
    result = result_with(written(*wanted), confidence)
    said = [written(*wanted), *map(written, others), None, "Who knows?"]
    share = {"share": 1 / len(said), "share_by_count": 1 / len(said)}
    distribution = tuple(
        result.distribution[0].model_copy(update={"answer": one, **share}) for one in said
    )
    changes = {"kind": "tool_call", "distribution": distribution, "share": share["share"]}
    result = result.model_copy(update=changes)
    return AIMessage("", tool_calls=made, response_metadata={METADATA_KEY: metadata_of(result)})


def resting_on_the_general_map(message: AIMessage) -> AIMessage:
    """The message with a confidence that no labels of the setting stand behind."""
    result: dict[str, Any] = message.response_metadata[METADATA_KEY]
    sure: float = result["confidence"]
    general = {"source": "general", "labels": 0, "interval": [sure / 2, 1.0]}
    changed = {**result, "calibrated": False, "calibration": general}
    return message.model_copy(update={"response_metadata": {METADATA_KEY: changed}})


class FakeChat(BaseChatModel):
    """Gives its replies in turn; remembers what it was asked with."""

    replies: list[Any]
    seen: list[list[BaseMessage]] = Field(default_factory=list)
    bound: list[str] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "fake"

    @property
    def asked(self) -> int:
        return len(self.seen)

    def bind_tools(self, tools: Sequence[Any], **_: Any) -> Runnable[LanguageModelInput, AIMessage]:
        self.bound[:] = [one.name for one in tools]
        return self

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **_: Any,
    ) -> ChatResult:
        reply = self.replies[len(self.seen)]
        self.seen.append(list(messages))
        if isinstance(reply, Exception):
            raise reply
        return ChatResult(generations=[ChatGeneration(message=reply.model_copy())])


class TreeChat(FakeChat):
    """Answers the last human message with a tree over a scripted model."""

    replies: list[Any] = Field(default_factory=list)
    scripted: ScriptedModel

    model_config = ConfigDict(arbitrary_types_allowed=True)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **_: Any,
    ) -> ChatResult:
        self.seen.append(list(messages))
        question = str([one for one in messages if one.type == "human"][-1].text)
        decoder = MultiChain(leaves=8, temperature=1)
        result = ask(self.scripted, question, decoder=decoder, kind="number", calibrator=None)
        message = AIMessage(
            result.answer or "", response_metadata={METADATA_KEY: metadata_of(result)}
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


UNCLEAR = "How long is the race?"
MILES, HOURS = "How many miles is the race?", "How many hours does the race take?"


def unclear(prompt: str) -> dict[str, float]:
    """Two readings of a question, each with an answer of its own."""
    if "repeat it word for word" in prompt:
        return {MILES: 0.5, HOURS: 0.5}
    if "miles" in prompt or "hours" in prompt:
        return {"The answer is 26.": 1.0} if "miles" in prompt else {"The answer is 4.": 1.0}
    return {"The answer is 26.": 0.5, "The answer is 4.": 0.5}


def tools_into(done: list[str]) -> list[BaseTool]:
    """Tools that note what they did."""

    @tool
    def search(query: str) -> str:
        """Search."""
        done.append(f"search {query}")
        return f"found {query}"

    @tool
    def pay(amount: int) -> str:
        """Pay."""
        done.append(f"pay {amount}")
        return f"paid {amount}"

    return [search, pay]
