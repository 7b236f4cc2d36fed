"""Surfaces that read bytes: sound examples of each, and what reads them.

The random run, the tests and the fuzzer that is guided by coverage take the same surfaces. A reader
gives what it read, or raises an `EtAgentError`.
"""

import gzip
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Final

import numpy as np

from et_agent.errors import InputError

__all__ = ["READ", "Surface", "opened"]

ROOT: Final = Path(__file__).parent.parent.parent


@dataclass(frozen=True, slots=True)
class Surface:
    """What reads bytes.

    Attributes:
        seeds: Sound examples.
        read: Reads bytes.
    """

    seeds: tuple[bytes, ...]
    read: Callable[[bytes], object]


Maker = Callable[[Path, ExitStack], Surface]
"""Makes a surface, given a folder of its own and what ends with it."""


def headers(folder: Path, _: ExitStack) -> Surface:
    """Headers of GGUF files."""
    from et_agent.weights.gguf import read_gguf
    from tests.weights.gguf_builder import gguf_bytes

    path = folder / "model.gguf"

    def read(data: bytes) -> object:
        path.write_bytes(data)
        return read_gguf(path)

    return Surface((gguf_bytes(), gguf_bytes({"split.count": 1, "a.b": [1, 2]}, version=2)), read)


def templates(_: Path, __: ExitStack) -> Surface:
    """Chat templates, rendered."""
    from et_agent.templates.chat import ChatTemplate

    seeds = (
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{% endif %}",
        "{% set s = namespace(n=0) %}{%- for m in messages if m.role != 'system' -%}"
        "{{ m['content'] | trim }}{% set s.n = s.n + loop.index %}{%- endfor -%}{{ s.n }}"
        "{% if tools %}{{ tools | tojson(indent=2) }}{% endif %}",
        "{% macro say(m) %}{{ bos_token + m.content.split('x')[0] }}{% endmacro %}"
        "{% for m in messages %}{{ say(m) }}{% endfor %}{{ strftime_now('%Y') }}",
    )

    def read(data: bytes) -> object:
        template = ChatTemplate(data.decode("utf-8", "replace"), "<s>", "</s>")
        return template.pieces([{"role": "user", "content": "hi"}])

    return Surface(tuple(one.encode() for one in seeds), read)


def calibrators(_: Path, __: ExitStack) -> Surface:
    """Files of calibrators."""
    from et_agent.calibration import Calibrator

    shipped = resources.files("et_agent.calibration") / "shipped"
    seeds = sorted(
        (one.read_bytes() for one in shipped.iterdir() if one.name.endswith(".json")), key=len
    )
    return Surface(tuple(seeds[:4]), lambda data: Calibrator.from_json(data, "a calibrator"))


def policies(folder: Path, _: ExitStack) -> Surface:
    """TOML files of policies."""
    from et_agent.gate import GatePolicy

    path = folder / "gate.toml"
    seeds = (
        b"[gate]\nanswer_at = 0.8\ntimeout = 5.0\n[gate.topics.pay]\nanswer_at = 0.9\n",
        b'[gate]\nanswer_at = "0.8"\n# nothing\nfields = {amount = 0.9}\n',
    )

    def read(data: bytes) -> object:
        path.write_bytes(data)
        return GatePolicy.from_toml(path)

    return Surface(seeds, read)


def settings(folder: Path, _: ExitStack) -> Surface:
    """The user's file of settings."""
    from et_agent.config import read_config

    path = folder / "config.toml"
    seeds = (b'model = "smollm2-135m"\nthreads = 2\n', b"threads = 12 # more\n")

    def read(data: bytes) -> object:
        path.write_bytes(data)
        return read_config()

    return Surface(seeds, read)


def stores(folder: Path, _: ExitStack) -> Surface:
    """Stores of runs: what is read is what was stored."""
    from et_agent.evaluation import RunStore
    from tests.evaluation.conftest import record, table

    path = folder / "runs.sqlite"
    with RunStore(path) as store:
        run = store.begin("a", {"seed": 1})
        for at in range(3):
            kept = record(f"x/{at}", table([0]), [True])
            store.add(run, kept, ["text"], {"tokens": np.arange(3)})
        stored = {one.item: one.as_json() for one in store.records(run)}

    def read(data: bytes) -> object:
        path.write_bytes(data)
        with RunStore(path) as store:
            found = {one.item: one.as_json() for one in store.records(run)}
            assert found.items() <= stored.items(), "another record than was stored"
            return store.texts(run, "x/1"), store.traces(run, "x/1")

    return Surface((path.read_bytes(),), read)


def exchanged(folder: Path, _: ExitStack) -> Surface:
    """Runs as files."""
    from et_agent.evaluation import RunStore
    from et_agent.evaluation.exchange import export_run, read_run
    from tests.evaluation.conftest import record, table

    path = folder / "run.jsonl"
    with RunStore(folder / "exported.sqlite") as store:
        run = store.begin("a", {"seed": 1})
        store.add(run, record("x/1", table([0]), [True]), ["text"], {})
        (info,) = store.runs()
        export_run(store, info, path)

    seed = path.read_bytes()

    def read(data: bytes) -> object:
        path.write_bytes(data if data.startswith(b"\x1f\x8b") else gzip.compress(data))
        return read_run(path)

    return Surface((seed, gzip.decompress(seed), gzip.decompress(seed)), read)


def data_sets(folder: Path, _: ExitStack) -> Surface:
    """Data sets of the user's own: JSON Lines and tables."""
    from et_agent.evaluation.datasets.registry import load_items

    seeds = (
        b'{"question": "2 + 2?", "answer": "4", "kind": "number"}\n'
        b'{"question": "Red?", "answer": "A", "kind": "choice", "choices": ["red", "blue"]}\n',
        b'question,answer,kind,choices\n"2 + 2?",4,number,\nRed?,A,choice,red|blue\n',
    )
    paths = (folder / "set.jsonl", folder / "set.csv")

    def read(data: bytes) -> object:
        path = paths[data[:1] != b"{"]
        path.write_bytes(data)
        return load_items(str(path))

    return Surface(seeds, read)


def question_files(folder: Path, _: ExitStack) -> Surface:
    """Files of questions for the command line."""
    from et_agent.cli.questions import read_file

    seeds = (b"What is 2 + 2?\nWho?\n", b'{"question": "2 + 2?"}\n', b"question\n2 + 2?\n")
    table, lines = folder / "questions.csv", folder / "questions.txt"

    def read(data: bytes) -> object:
        path = table if data.startswith(b"question") else lines
        path.write_bytes(data)
        return read_file(str(path))

    return Surface(seeds, read)


def results(folder: Path, _: ExitStack) -> Surface:
    """Results that `ask --json --tree` printed, drawn as a page."""
    from et_agent import EntropyTree, ScriptedModel, ask
    from et_agent.cli.tree import read_result
    from et_agent.pages import result_page

    path = folder / "result.json"
    with ScriptedModel.from_texts({"So \\boxed{4}": 0.7, "So </script>\\boxed{5}": 0.3}) as model:
        found = ask(model, "2 + 2?", decoder=EntropyTree(leaves=4), alternatives=2)

    def read(data: bytes) -> object:
        path.write_bytes(data)
        page = result_page(read_result(str(path)))
        assert page.lower().count("</script>") == page.lower().count("<script"), "a script escaped"
        return page

    return Surface((found.model_dump_json().encode(),), read)


def replies(_: Path, __: ExitStack) -> Surface:
    """Replies of servers with OpenAI's interface."""
    from et_agent.engines.openai_wire import Completion, ServedModels, sample_of
    from et_agent.engines.openai_wire import read as read_reply
    from et_agent.engines.sampled import TokenTable

    likely = {"token": "4", "logprob": -0.1}
    token = {**likely, "bytes": [52], "top_logprobs": [likely]}
    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    seeds = (
        {
            "choices": [
                {
                    "message": {"role": "assistant", "content": "4"},
                    "finish_reason": "stop",
                    "logprobs": {"content": [token]},
                }
            ],
            "usage": {"prompt_tokens": 9, "completion_tokens": 1},
        },
        {"choices": [{"message": {"content": None, "tool_calls": [call]}, "finish_reason": None}]},
        {"data": [{"id": "model", "meta": {"n_ctx": 4096}}]},
    )

    def read(data: bytes) -> object:
        if b'"data"' in data:
            return read_reply(ServedModels, data)
        completion = read_reply(Completion, data)
        return [sample_of(one, TokenTable()) for one in completion.choices]

    return Surface(tuple(json.dumps(one).encode() for one in seeds), read)


def bodies(_: Path, held: ExitStack) -> Surface:
    """Bodies of requests to the server: none makes it fail."""
    for place in ("integrations/server", "integrations/server/tests"):
        if str(ROOT / place) not in sys.path:
            sys.path.append(str(ROOT / place))
    import httpx
    from et_agent_server import ServerSettings, create_app
    from server_tests.support import listening

    from et_agent import ScriptedModel

    model = held.enter_context(ScriptedModel.from_texts({"So \\boxed{4}": 1.0}, context=1024))
    made = ServerSettings(port=0, leaves=2, grace_seconds=1)
    server = listening(create_app({"scripted": model}, made), made)
    held.callback(server.stop)
    client = held.enter_context(httpx.Client(base_url=server.url, timeout=30))
    said = [{"role": "user", "content": "2 + 2?"}]
    paths = {"/v1/score": b'"answer"', "/v1/completions": b'"prompt"', "/v1/ask": b"question"}
    seeds = (
        {"model": "scripted", "messages": said, "max_tokens": 8, "temperature": 0.5},
        {"model": "scripted", "messages": said, "stream": True, "tools": [], "n": 2},
        {"model": "scripted", "prompt": "2 + 2 =", "max_tokens": 4},
        {"model": "scripted", "question": "2 + 2?", "leaves": 2},
        {"model": "scripted", "question": "2 + 2?", "answer": "4", "samples": ["4", "5"]},
    )

    def read(data: bytes) -> object:
        path = next((path for path, mark in paths.items() if mark in data), "/v1/chat/completions")
        response = client.post(path, content=data, headers={"Content-Type": "application/json"})
        assert response.status_code < 500, f"{response.status_code} {response.text[:200]}"
        if response.status_code >= 400:
            raise InputError(response.text)
        return response.text

    return Surface(tuple(json.dumps(one).encode() for one in seeds), read)


def kernels(folder: Path, _: ExitStack) -> Surface:
    """The cache of compiled kernels: what is not whole is not loaded."""
    from et_agent.kernels.building import Build, find_build, key_of
    from et_agent.kernels.building import folder as kept
    from et_agent.kernels.instructions import INSTRUCTION_SETS

    llama = folder / "llama" / "libggml-cpu.so"
    llama.parent.mkdir()
    llama.write_bytes(b"no library")
    wanted = INSTRUCTION_SETS[-1]
    place = kept() / key_of(wanted, llama)
    place.mkdir(parents=True)
    library = b"no library either"
    sha256 = hashlib.sha256(library).hexdigest()
    sound = Build(wanted.name, "0.3", place.name, "c++", sha256, "")
    seed = json.dumps(asdict(sound)).encode()

    def read(data: bytes) -> object:
        (place / "build.json").write_bytes(data)
        sound.library.write_bytes(library)
        return find_build(wanted, llama)

    return Surface((seed,), read)


def caches(_: Path, __: ExitStack) -> Surface:
    """What was measured on this machine and kept: trials, tuning, checksums."""
    from et_agent.engines.llama_cpp import trial, tuning

    seeds = (
        b'{"abc": true, "def": false}',
        b'{"abc": {"threads": 2, "width": 16}}',
        b'{"/models/a.gguf": {"size": 3, "mtime_ns": 4, "sha256": "00"}}',
    )

    def read(data: bytes) -> object:
        for path in (trial._file(), tuning._file()):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return trial._read_verdicts(), tuning.find_tuning("abc", "llama")

    return Surface(seeds, read)


def prefixes(folder: Path, _: ExitStack) -> Surface:
    """Files of kept prompts, damaged, and changed by somebody who knows how they are signed."""
    from et_agent.engines.prefix_file import PrefixFileError, read_prefixes, write_prefixes
    from et_agent.engines.prefix_store import PrefixStore

    path, fits = folder / "prefixes", {"model": "m"}
    store = PrefixStore(1 << 20)
    store.insert([1, 2, 3, 4], np.arange(32, dtype=np.uint8).reshape(4, 8), prompt=4)
    store.insert([1, 2, 9], np.arange(24, dtype=np.uint8).reshape(3, 8), prompt=3)
    write_prefixes(path, store, fits, {"cells": 4})
    seed = path.read_bytes()

    def read(data: bytes) -> object:
        signed = data[:-32] + hashlib.blake2b(data[:-32], digest_size=32).digest()
        for one in (data, signed):
            path.write_bytes(one)
            found = PrefixStore(1 << 20)
            try:
                form = read_prefixes(path, found, fits)
            except PrefixFileError:
                assert not len(found), "something was taken from a file that was refused"
            else:
                if one is signed:
                    return form
        raise InputError("refused")

    return Surface((seed,), read)


READ: Final[dict[str, Maker]] = {
    "GGUF headers": headers,
    "chat templates": templates,
    "calibrators": calibrators,
    "policies": policies,
    "settings": settings,
    "stores of runs": stores,
    "exchanged runs": exchanged,
    "data sets": data_sets,
    "question files": question_files,
    "results and pages": results,
    "replies of servers": replies,
    "server bodies": bodies,
    "kernels' cache": kernels,
    "kept measurements": caches,
    "prefix files": prefixes,
}


@contextmanager
def opened(name: str, folder: Path) -> Iterator[Surface]:
    """A surface, with a cache, settings and data of its own in a folder."""
    before = dict(os.environ)
    os.environ |= {
        "ET_AGENT_CACHE": str(folder / "cache"),
        "ET_AGENT_CONFIG": str(folder / "config.toml"),
        "XDG_DATA_HOME": str(folder / "data"),
    }
    try:
        with ExitStack() as held:
            yield READ[name](folder, held)
    finally:
        os.environ.clear()
        os.environ |= before
