"""The systems, each as a function from a job to one that answers questions.

The function loads and warms up. It imports whatever is not in the standard library itself, since each
system runs in its own python.
"""

import asyncio
import json
import math
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from benchmarks.peers.jobs import TEMPERATURE, UNCUT, Job, Reply, Text

if TYPE_CHECKING:
    from et_agent import EntropyTree, MultiChain

Ask = Callable[[list[str]], list[Reply]]

WARM_UP = "What is 1 + 1?"
REQUESTS = 64
"""Requests under way at once: enough to keep 16 slots and the server's queue filled."""
PATIENCE = 1800.0
"""Seconds that a request may take, its time in the server's queue included."""


def tree(job: Job) -> Ask:
    """et-agent's tree that forks in rounds, once all paths have ended."""
    from et_agent import EntropyTree

    decoder = EntropyTree(schedule="rounds", leaves=job.samples, max_tokens=job.max_tokens)
    return _et_agent(job, decoder)


def overlapped(job: Job) -> Ask:
    """et-agent's default tree, which forks each path as soon as it ends."""
    from et_agent import EntropyTree

    decoder = EntropyTree(schedule="overlapped", leaves=job.samples, max_tokens=job.max_tokens)
    return _et_agent(job, decoder)


def early(job: Job) -> Ask:
    """et-agent's tree that stops once the decision is nearly certain."""
    from et_agent import EntropyTree
    from et_agent.gate import EARLY

    return _et_agent(job, EntropyTree(leaves=job.samples, max_tokens=job.max_tokens, **EARLY))


def chains(job: Job) -> Ask:
    """et-agent's independent chains, in shared batches."""
    from et_agent import MultiChain

    return _et_agent(job, MultiChain(leaves=job.samples, max_tokens=job.max_tokens))


def _et_agent(job: Job, decoder: "EntropyTree | MultiChain") -> Ask:
    from et_agent import MultiChain, ask, load_model

    model = load_model(job.model, threads=job.threads)
    ask(model, WARM_UP, decoder=MultiChain(leaves=2, max_tokens=8), kind="number")

    def answer(questions: list[str]) -> list[Reply]:
        results = ask(model, questions, decoder=decoder, kind="number", seed=job.seed)
        return [
            Reply(
                answer=result.answer,
                share=result.share,
                confidence=result.confidence,
                tokens=result.usage.tokens_decoded,
                library=result.model.library,
            )
            for result in results
        ]

    return answer


def llama(job: Job) -> Ask:
    """`llama_cpp.Llama`, one sample after another; it keeps the prompt between them."""
    import llama_cpp

    model = llama_cpp.Llama(
        job.model, n_ctx=2048, n_threads=job.threads, n_threads_batch=job.threads, verbose=False
    )
    cuts = UNCUT if job.uncut else {}
    model.create_chat_completion(job.messages(WARM_UP), max_tokens=8)

    def one(question: str) -> Reply:
        replies = [
            model.create_chat_completion(
                job.messages(question),
                temperature=TEMPERATURE,
                max_tokens=job.max_tokens,
                seed=job.seed + number,
                **cuts,
            )
            for number in range(job.samples)
        ]
        tokens = sum(reply["usage"]["completion_tokens"] for reply in replies)
        return Reply(texts=[_text(reply["choices"][0]) for reply in replies], tokens=tokens)

    return lambda questions: [one(question) for question in questions]


def requests(job: Job) -> Ask:
    """A llama.cpp server, one request for each sample."""
    return _server(job, [{"seed": job.seed + number} for number in range(job.samples)])


def choices(job: Job) -> Ask:
    """A llama.cpp server, one request for all samples."""
    return _server(job, [{"seed": job.seed, "n": job.samples}])


def _server(job: Job, bodies: Sequence[dict[str, int]]) -> Ask:
    """Samples of a server: every question is asked with every body, all at once."""
    common = {"temperature": TEMPERATURE, "max_tokens": job.max_tokens}
    _warm_up(job)
    threads = ThreadPoolExecutor(REQUESTS)

    def answer(questions: list[str]) -> list[Reply]:
        asked = [
            [
                threads.submit(post, job.url, {"messages": job.messages(one), **common, **body})
                for body in bodies
            ]
            for one in questions
        ]
        return [
            Reply(texts=[_text(choice) for got in pending for choice in got.result()["choices"]])
            for pending in asked
        ]

    return answer


def _warm_up(job: Job) -> None:
    """Let the server answer once; it keeps the system prompt, as it would for the next question."""
    post(job.url, {"messages": job.messages(WARM_UP), "max_tokens": 8})


def post(url: str, body: dict[str, Any]) -> Any:
    """One chat completion."""
    request = urllib.request.Request(
        f"{url}/v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
        return json.load(reply)


def _text(choice: Any) -> Text:
    return Text(choice["message"]["content"] or "", finished=choice["finish_reason"] != "length")


def uqlm_black_box(job: Job) -> Ask:
    """UQLM's consistency of a reply with further samples, compared by their boxes."""
    from uqlm import BlackBoxUQ

    scorer = BlackBoxUQ(
        llm=_chat_model(job),
        system_prompt=job.instruction,
        scorers=["exact_match"],
        use_best=False,
        sampling_temperature=TEMPERATURE,
        postprocessor=_boxed,
        return_responses="raw",
    )
    return _uqlm(scorer, "exact_match", num_responses=job.samples - 1)


def uqlm_white_box(job: Job) -> Ask:
    """UQLM's scores of one reply, from its tokens' probabilities."""
    from uqlm import WhiteBoxUQ

    scorers = [
        "sequence_probability",
        "min_probability",
        "mean_token_negentropy",
        "min_token_negentropy",
        "probability_margin",
        "p_true",
    ]
    scorer = WhiteBoxUQ(llm=_chat_model(job), system_prompt=job.instruction, scorers=scorers)
    return _uqlm(scorer, *scorers)


def _uqlm(scorer: Any, *scores: str, **settings: int) -> Ask:
    """Ask with a scorer of UQLM; the first of its scores is its confidence."""

    loop = asyncio.new_event_loop()  # the client's connections belong to it

    def answer(questions: list[str]) -> list[Reply]:
        scoring = scorer.generate_and_score(questions, show_progress_bars=False, **settings)
        found = loop.run_until_complete(scoring)
        table = found.to_dict()["data"]
        texts = table.get("raw_responses") or table["responses"]
        return [
            _scored(text, {name: table[name][at] for name in scores})
            for at, text in enumerate(texts)
        ]

    return answer


def _scored(text: str, scores: dict[str, float | None]) -> Reply:
    """A reply that its system chose; the first score is its confidence. A NaN is no score."""
    known = {
        name: float(score)
        for name, score in scores.items()
        if score is not None and not math.isnan(score)
    }
    return Reply(texts=[Text(text)], confidence=known.get(next(iter(scores))), scores=known)


def _chat_model(job: Job) -> Any:
    from langchain_openai import ChatOpenAI

    _warm_up(job)
    return ChatOpenAI(
        base_url=f"{job.url}/v1",
        api_key="none",
        model="local",
        temperature=TEMPERATURE,
        max_tokens=job.max_tokens,
        timeout=PATIENCE,
        max_retries=0,
    )


def _boxed(text: str) -> str:
    r"""What a user of UQLM would write to compare answers in place of texts: the last `\boxed{}`."""
    _, found, box = text.rpartition("\\boxed{")
    return box.partition("}")[0].strip() if found else text.strip().rpartition("\n")[2]


def polygraph(job: Job) -> Ask:
    """LM-Polygraph's estimators for a black box: of one reply's tokens, and of ten samples.

    It passes `top_p=1` on, so that only the server's other cuts apply.
    """
    import os

    os.environ["OPENAI_BASE_URL"] = f"{job.url}/v1"
    from lm_polygraph import estimators as of
    from lm_polygraph.defaults.register_default_stat_calculators import (
        register_default_stat_calculators,
    )
    from lm_polygraph.utils.builder_enviroment_stat_calculator import (
        BuilderEnvironmentStatCalculator,
    )
    from lm_polygraph.utils.dataset import Dataset
    from lm_polygraph.utils.generation_parameters import GenerationParameters
    from lm_polygraph.utils.manager import UEManager
    from lm_polygraph.utils.model import BlackboxModel

    _warm_up(job)
    model = BlackboxModel.from_openai(
        "none",
        "local",
        supports_logprobs=True,
        generation_parameters=GenerationParameters(temperature=TEMPERATURE),
    )
    estimators = [
        of.LexicalSimilarity("rougeL"),
        of.EigValLaplacian(similarity_score="Jaccard_score"),
        of.DegMat(similarity_score="Jaccard_score"),
        of.MaximumSequenceProbability(),
        of.Perplexity(),
        of.MeanTokenEntropy(),
    ]

    def answer(questions: list[str]) -> list[Reply]:
        chats = [job.messages(question) for question in questions]
        manager = UEManager(
            Dataset(chats, [""] * len(chats), batch_size=len(chats)),
            model,
            estimators,
            available_stat_calculators=register_default_stat_calculators(
                "Blackbox", blackbox_supports_logprobs=True
            ),
            builder_env_stat_calc=BuilderEnvironmentStatCalculator(model),
            generation_metrics=[],
            ue_metrics=[],
            processors=[],
            ignore_exceptions=False,
            verbose=False,
            max_new_tokens=job.max_tokens,
        )
        manager()
        uncertainty = {str(one): manager.estimations[one.level, str(one)] for one in estimators}
        return [
            _scored(text, {name: -values[at] for name, values in uncertainty.items()})
            for at, text in enumerate(manager.stats["greedy_texts"])
        ]

    return answer


SYSTEMS: dict[str, Callable[[Job], Ask]] = {
    "tree": tree,
    "overlapped": overlapped,
    "early": early,
    "chains": chains,
    "llama": llama,
    "server": requests,
    "server-n": choices,
    "xllamacpp": requests,
    "uqlm-bb": uqlm_black_box,
    "uqlm-wb": uqlm_white_box,
    "polygraph": polygraph,
}
