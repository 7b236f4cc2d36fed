"""What runs a model: the protocol, llama.cpp, and a scripted double for tests."""
