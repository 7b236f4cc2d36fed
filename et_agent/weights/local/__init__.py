"""GGUF files that other programs have on this machine: Ollama, LM Studio, llama.cpp, and others."""
