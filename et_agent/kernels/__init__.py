"""Our own products, attention and analysis of logits for x86 CPUs, compiled on the machine.

llama.cpp multiplies Q5_0, Q8_0 and Q6_K weights one row and one token at a time on x86, so a batch of
branches gains nothing there. The library here takes those products over. It attaches to the installed
llama.cpp through its list of extra buffer types: nothing of llama.cpp is changed or built again.

A build belongs to one llama.cpp library, one state of `source/` and the features of one CPU. Where
there is none that fits, llama.cpp's own products are used, and `attach` says why.
"""

from et_agent.kernels.library import Kernels, attach, library_line

__all__ = ["Kernels", "attach", "library_line"]
