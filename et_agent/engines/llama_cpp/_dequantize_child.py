"""Dequantizes one model file in a process of its own: `python -m … FROM TO`."""

import ctypes
import os
import sys

from et_agent.engines.llama_cpp.binding import llama_cpp

_MOSTLY_F16 = 1  # LLAMA_FTYPE_MOSTLY_F16


def main() -> int:
    source, target = sys.argv[1:3]
    llama_cpp.llama_backend_init()
    settings = llama_cpp.llama_model_quantize_default_params()
    settings.ftype = _MOSTLY_F16
    settings.allow_requantize = True
    settings.nthread = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    return int(
        llama_cpp.llama_model_quantize(
            os.fsencode(source), os.fsencode(target), ctypes.byref(settings)
        )
    )


if __name__ == "__main__":
    sys.exit(main())
