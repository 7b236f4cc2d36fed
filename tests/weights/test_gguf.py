import contextlib
import os
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from et_agent.engines.loading import load_model
from et_agent.errors import ModelFileError, UnsupportedModelError
from et_agent.weights.catalog import file_sha256, fingerprint_of, locate
from et_agent.weights.gguf import GgufArray, read_gguf
from tests.tiny_models import write_model
from tests.weights.gguf_builder import DEFAULT_TENSORS, gguf_bytes, write_gguf


def test_reads_what_the_header_says(tmp_path: Path) -> None:
    info = read_gguf(write_gguf(tmp_path / "m.gguf"))
    assert (info.version, info.architecture, info.name) == (3, "llama", "Tiny")
    assert (info.n_layers, info.n_embd, info.n_head, info.n_head_kv) == (2, 8, 4, 2)
    assert (info.n_vocab, info.context_length, info.n_params) == (40, 64, 328)
    assert (info.quantisation, info.n_tensors) == ("Q4_K_M", 2)
    assert info.chat_template == "{{ messages }}"
    assert info.n_bytes == (tmp_path / "m.gguf").stat().st_size
    assert info.sliding_window is None
    flags = (info.is_embedding_only, info.is_recurrent, info.is_hybrid, info.is_diffusion)
    assert not any(flags)
    assert info.parts == (tmp_path / "m.gguf",)


def test_long_arrays_are_summarised_and_short_ones_kept(tmp_path: Path) -> None:
    info = read_gguf(
        write_gguf(tmp_path / "m.gguf", {"x.ids": list(range(5000)), "x.tags": ["a", "b"]})
    )
    assert info.metadata["tokenizer.ggml.tokens"] == GgufArray(type="string", length=40)
    assert info.metadata["x.ids"] == GgufArray(type="number", length=5000)
    assert info.metadata["x.tags"] == ("a", "b")
    assert info.model_dump_json()


def test_layers_that_differ_give_the_largest_number_of_heads(tmp_path: Path) -> None:
    info = read_gguf(write_gguf(tmp_path / "m.gguf", {"llama.attention.head_count_kv": [1, 4]}))
    assert info.n_head_kv == 4


def test_without_a_file_type_the_type_of_most_bytes_names_the_quantisation(tmp_path: Path) -> None:
    info = read_gguf(write_gguf(tmp_path / "m.gguf", {"general.file_type": 999}))
    assert info.quantisation == "F32"


@pytest.mark.parametrize(
    ("metadata", "flag"),
    [
        ({"general.architecture": "nomic-bert"}, "is_embedding_only"),
        ({"llama.attention.causal": False}, "is_embedding_only"),
        ({"llama.pooling_type": 3}, "is_embedding_only"),
        ({"general.architecture": "rwkv7"}, "is_recurrent"),
        ({"general.architecture": "mamba"}, "is_recurrent"),
        ({"general.architecture": "lfm2"}, "is_hybrid"),
        ({"general.architecture": "qwen3next"}, "is_hybrid"),
        ({"general.architecture": "dream", "dream.attention.causal": False}, "is_diffusion"),
        ({"general.architecture": "t5"}, "is_encoder_decoder"),
        ({"general.architecture": "clip"}, "is_companion"),
        ({"general.architecture": "controlvector"}, "is_companion"),
    ],
)
def test_kinds_of_models_are_told_apart(
    tmp_path: Path, metadata: dict[str, bool | int | str], flag: str
) -> None:
    info = read_gguf(write_gguf(tmp_path / "m.gguf", dict(metadata)))
    flags = {
        "is_embedding_only",
        "is_recurrent",
        "is_hybrid",
        "is_diffusion",
        "is_encoder_decoder",
        "is_companion",
    }
    assert {f for f in flags if getattr(info, f)} == {flag}


@pytest.mark.parametrize(
    ("metadata", "tensors", "words"),
    [
        ({"general.type": "adapter", "adapter.type": "lora"}, DEFAULT_TENSORS, "a LoRA adapter"),
        ({"general.type": "imatrix"}, DEFAULT_TENSORS, "an importance matrix"),
        ({"general.type": "mmproj"}, DEFAULT_TENSORS, "a projector"),
        ({"general.type": "dataset"}, DEFAULT_TENSORS, "of type 'dataset'"),
        ({}, {}, "a vocabulary without weights"),
        ({"general.type": "model"}, {}, "a vocabulary without weights"),
    ],
)
def test_files_that_are_no_models_are_named(
    tmp_path: Path, metadata: dict[str, str], tensors: dict[str, tuple[int, ...]], words: str
) -> None:
    path = write_gguf(tmp_path / "m.gguf", metadata, tensors)
    assert words in str(read_gguf(path).why_unusable())
    with pytest.raises(UnsupportedModelError, match=words):
        load_model(str(path))


def test_an_importance_matrix_names_no_architecture(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    write_model(path, {"general.type": "imatrix"}, {"a": np.zeros((2, 2), dtype=np.float32)})
    assert "importance matrix" in str(read_gguf(path).why_unusable())


def test_an_embedding_pooling_of_none_still_generates(tmp_path: Path) -> None:
    assert not read_gguf(
        write_gguf(tmp_path / "m.gguf", {"llama.pooling_type": 0})
    ).is_embedding_only


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"  <html>", "web page"),
        (b"PK\x03\x04rest", "zip archive"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b"lmgg\x01\0\0\0", "old GGML format"),
        (b"tjgg\x01\0\0\0", "old GGML format"),
        (struct.pack("<Q", 40) + b'{"__metadata__":{}}', "safetensors"),
        (b'{"a": 1}', "JSON"),
        (b"\0" * 100, "begins with zeros"),
        (b"hello world", "begins with b'hell'"),
        (b"GG", "begins with b'GG'"),
        (b"GGUF\x03", "truncated"),
        (b"GGUF" + struct.pack(">I", 3) + b"\0" * 16, "big-endian"),
        (b"GGUF" + struct.pack("<I", 1) + b"\0" * 16, "version 1"),
        (b"GGUF" + struct.pack("<I", 9) + b"\0" * 16, "version 9"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**63, 0), "announces"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60), "announces"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 0), "does not name its architecture"),
        (gguf_bytes(tensor_type=4), "unknown type 4"),
        (gguf_bytes(tensor_type=12), "impossible shape"),
        (gguf_bytes(first_offset=64), "starts at 64"),
        (gguf_bytes({"general.alignment": 24}), "power of two"),
        (gguf_bytes(tensors={"x" * 64: (8,)}), "too long"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelFileError) as caught:
        read_gguf(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_an_overlong_length_is_refused_without_allocating(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    key = struct.pack("<Q", 1) + b"k"
    for value in (
        struct.pack("<IQ", 8, 2**62),
        struct.pack("<IIQ", 9, 8, 2**62),
        struct.pack("<IIQ", 9, 4, 2**62),
        struct.pack("<IIQ", 9, 9, 1),
        struct.pack("<II", 99, 1),
    ):
        path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + key + value + b"\0" * 64)
        with pytest.raises(ModelFileError, match=r"truncated|damaged"):
            read_gguf(path)


def test_a_string_array_that_lies_about_a_length_is_refused(tmp_path: Path) -> None:
    data = gguf_bytes()
    at = data.index(b"t30")
    path = tmp_path / "m.gguf"
    path.write_bytes(data[: at - 8] + struct.pack("<Q", 2**64 - 1) + data[at:])
    with pytest.raises(ModelFileError, match="past the end"):
        read_gguf(path)


def test_a_duplicate_key_is_refused(tmp_path: Path) -> None:
    data = gguf_bytes({"general.nome": "x"}).replace(b"general.nome", b"general.name")
    path = tmp_path / "m.gguf"
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match="appears twice"):
        read_gguf(path)


def test_a_truncated_file_says_how_much_is_missing(tmp_path: Path) -> None:
    data = gguf_bytes()
    path = tmp_path / "m.gguf"
    path.write_bytes(data[:-1])
    with pytest.raises(
        ModelFileError, match=f"has {len(data) - 1:,} bytes but should have {len(data):,}"
    ):
        read_gguf(path)
    path.write_bytes(data + b"\0" * 31)
    read_gguf(path)


@pytest.mark.posix
def test_paths_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="No such file"):
        read_gguf(tmp_path / "none.gguf")
    with pytest.raises(ModelFileError, match="is a directory"):
        read_gguf(tmp_path)
    write_gguf(tmp_path / "inside.gguf")
    with pytest.raises(ModelFileError, match=r"such as .*inside\.gguf"):
        read_gguf(tmp_path)
    with pytest.raises(ModelFileError, match="No such file"):
        read_gguf(tmp_path / "inside.gguf" / "x.gguf")
    with pytest.raises(ModelFileError, match="cannot be opened"):
        read_gguf("a\0b.gguf")
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(ModelFileError, match="not a regular file"):
        read_gguf(tmp_path / "pipe.gguf")


def _write_split(folder: Path, count: int, *, stem: str = "m") -> list[Path]:
    return [
        write_gguf(
            folder / f"{stem}-{k + 1:05d}-of-{count:05d}.gguf",
            {"split.count": count, "split.no": k},
            {f"t{k}": (8, 8)},
        )
        for k in range(count)
    ]


def test_a_split_model_is_read_from_its_first_part(tmp_path: Path) -> None:
    paths = _write_split(tmp_path, 3)
    info = read_gguf(paths[0])
    assert info.parts == tuple(paths)
    assert (info.n_params, info.n_tensors) == (192, 3)
    with pytest.raises(ModelFileError, match=r"first part: .*m-00001-of-00003\.gguf"):
        read_gguf(paths[1])
    paths[2].write_bytes(paths[2].read_bytes()[:-8])
    with pytest.raises(ModelFileError, match=r"m-00003-of-00003\.gguf is truncated"):
        read_gguf(paths[0])
    paths[2].unlink()
    with pytest.raises(ModelFileError, match=r"1 are missing: m-00003-of-00003\.gguf"):
        read_gguf(paths[0])
    renamed = paths[0].rename(tmp_path / "other.gguf")
    with pytest.raises(ModelFileError, match="its name does not say so"):
        read_gguf(renamed)


def test_the_fingerprint_of_a_split_model_covers_all_parts(tmp_path: Path) -> None:
    whole = write_gguf(tmp_path / "whole.gguf")
    paths = _write_split(tmp_path, 3)

    def fingerprint(path: Path) -> str:
        return fingerprint_of(locate(path), read_gguf(path).parts)

    assert fingerprint(whole) == file_sha256(whole)
    first = fingerprint(paths[0])
    assert first == fingerprint(paths[0])
    assert first != file_sha256(paths[0])
    data = bytearray(paths[2].read_bytes())
    data[-1] ^= 1
    paths[2].write_bytes(data)
    assert fingerprint(paths[0]) != first


def test_a_large_vocabulary_is_read_in_time(tmp_path: Path) -> None:
    tokens = [f"token{i}" for i in range(150_000)]
    path = write_gguf(
        tmp_path / "m.gguf", {"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.merges": tokens}
    )
    started = time.process_time()
    info = read_gguf(path)
    assert time.process_time() - started < 0.3
    assert info.n_vocab == 150_000


_WHOLE = gguf_bytes()
_TOLERANT = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)


@_TOLERANT
@given(st.integers(0, len(_WHOLE) - 1))
def test_every_truncation_is_noticed(tmp_path: Path, length: int) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(_WHOLE[:length])
    with pytest.raises(ModelFileError):
        read_gguf(path)


@pytest.mark.fault("flipped bytes")
@_TOLERANT
@given(
    st.lists(
        st.tuples(st.integers(0, len(_WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=8
    )
)
def test_damage_raises_nothing_but_a_model_file_error(
    tmp_path: Path, flips: list[tuple[int, int]]
) -> None:
    data = bytearray(_WHOLE)
    for at, value in flips:
        data[at] = value
    path = tmp_path / "m.gguf"
    path.write_bytes(data)
    with contextlib.suppress(ModelFileError):
        read_gguf(path)
