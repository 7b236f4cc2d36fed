"""Faster products for the long runs: llama.cpp's CPU library with AVX512-VNNI kernels added."""
