"""The engine against transformers, which reads the same GGUF files; see __main__.py."""
