"""One surface that reads bytes, under a fuzzer that is guided by coverage.

    python -m benchmarks.hostile.guided "GGUF headers" -max_total_time=600

It needs atheris, which is no dependency of ours. What it finds is written beside where it runs, as
`crash-…`; kept in tests/fuzz_corpus/<surface>/, `tests/test_fuzz.py` reads it from then on.
"""

import sys
import tempfile
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["et_agent"]):
    from benchmarks.hostile.files import READ, opened
    from et_agent.errors import EtAgentError


def main() -> None:
    """Fuzz the surface that is named first; the rest are libFuzzer's options."""
    if len(sys.argv) < 2 or sys.argv[1] not in READ:
        sys.exit(f"name one of: {', '.join(READ)}")
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        corpus = folder / "corpus"
        corpus.mkdir()
        with opened(sys.argv[1], folder) as surface:
            for number, seed in enumerate(surface.seeds):
                (corpus / str(number)).write_bytes(seed)

            def one(data: bytes) -> None:
                try:
                    surface.read(data)
                except EtAgentError:
                    return

            atheris.Setup([sys.argv[0], str(corpus), *sys.argv[2:]], one)
            atheris.Fuzz()


if __name__ == "__main__":
    main()
