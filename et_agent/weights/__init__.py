"""Model files: where they are to be had, downloads, checksums, GGUF headers."""
