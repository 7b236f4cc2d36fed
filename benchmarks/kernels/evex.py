"""The kernels for AVX-VNNI on CPUs that have its instructions only in the encoding of AVX512-VNNI."""

from et_agent.kernels import instructions

__all__ = ["needs_evex", "use_evex"]


def needs_evex() -> bool:
    """Whether this CPU can run the kernels for AVX-VNNI in that encoding only."""
    features = instructions.cpu_features()
    return "avx_vnni" not in features and {"avx512_vnni", "avx512vl"} <= features


def use_evex() -> None:
    """Let the kernels for AVX-VNNI be built and run in the encoding of AVX512-VNNI."""
    known = instructions.by_name()
    wanted = known["avx-vnni"]
    flags = (*known["avx2"].flags, "-DET_KERNELS_EVEX")
    features = wanted.features - {"avx_vnni"} | {"avx512_vnni", "avx512vl"}
    changed = instructions.InstructionSet(wanted.name, features, flags)
    sets = (known["avx512-vnni"], changed, known["avx2"])
    instructions.INSTRUCTION_SETS = sets  # type: ignore[misc]
