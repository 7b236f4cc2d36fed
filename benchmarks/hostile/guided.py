"""A surface that reads bytes, under a fuzzer that is guided by coverage.

    python -m benchmarks.hostile.guided "GGUF headers" -max_total_time=600

It needs atheris (`pip install atheris`), which is no dependency of ours: it has wheels for few systems.
Coverage is that of et_agent in this process: code of children, such as templates that are rendered, and
compiled code are not seen. Half of the mutations are libFuzzer's, half change a part of the JSON. What
it kept lies in build/fuzz/<surface>, so that the next run goes on; what it finds lies beside that, as
`<surface>-crash-…` or `<surface>-timeout-…`. Put into tests/fuzz_corpus/<surface>/, it is read by
`tests/test_fuzz.py` from then on.
"""

import random
import shutil
import sys
import warnings
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

import atheris

INSTRUMENTED: Final = ["et_agent", "et_agent_server", "tomllib"]

with atheris.instrument_imports(include=INSTRUMENTED):
    from benchmarks.hostile.drawing import reshaped
    from benchmarks.hostile.files import READ, opened
    from et_agent.errors import EtAgentError

KEPT: Final = Path(__file__).parents[2] / "build" / "fuzz"


def mutated(data: bytes, largest: int, seed: int) -> bytes:
    """Bytes of JSON changed as JSON, or any bytes as libFuzzer has it."""
    if seed % 2:
        return reshaped(random.Random(seed), data)[:largest]
    found: bytes = atheris.Mutate(data, largest)
    return found


def main() -> None:
    """Fuzz the surface that is named first; the rest are libFuzzer's options."""
    if len(sys.argv) < 2 or sys.argv[1] not in READ:
        sys.exit(f"name one of: {', '.join(READ)}")
    warnings.simplefilter("ignore")
    name = sys.argv[1].replace(" ", "_").replace("'", "")
    corpus, work = KEPT / name, KEPT / "work" / name
    # libFuzzer ends the process, so that nobody tidies up behind it.
    shutil.rmtree(work, ignore_errors=True)
    for folder in (corpus, work):
        folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        with atheris.instrument_imports(include=INSTRUMENTED):  # readers import what they need here
            surface = held.enter_context(opened(sys.argv[1], work))
            for number, seed in enumerate(surface.seeds):
                (corpus / f"seed-{number}").write_bytes(seed)
                surface.read(seed)

        def one(data: bytes) -> None:
            with suppress(EtAgentError):
                surface.read(data)

        options = [f"-artifact_prefix={KEPT}/{name}-", "-timeout=60", "-print_final_stats=1"]
        atheris.Setup(
            [sys.argv[0], str(corpus), *options, *sys.argv[2:]], one, custom_mutator=mutated
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
