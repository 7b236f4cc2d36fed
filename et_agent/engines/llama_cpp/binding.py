"""llama-cpp-python, loaded with what must stand before its library is."""

from et_agent.kernels.threads import let_threads_sleep

__all__ = ["llama_cpp"]

let_threads_sleep()

import llama_cpp  # noqa: E402
