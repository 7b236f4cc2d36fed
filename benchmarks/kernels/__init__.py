"""What the compiled kernels bring, against llama.cpp built for the same instruction set."""
