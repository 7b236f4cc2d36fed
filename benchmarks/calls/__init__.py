"""Is the confidence of tool calls right? On tasks whose right call is known.

    python -m benchmarks.calls show 7 [--set judge]   # a task with its right call
    python -m benchmarks.calls decode [--model qwen2.5-coder-1.5b] [--set judge] [--tasks N]
    python -m benchmarks.calls tables   # benchmarks/results/calls.json, docs/measured.md

`drawing` writes the tasks from the templates of `judged` and `fitted`. Nothing is fitted on the judged.
Each has the sort of prompt that agents have: a system prompt, and tools in the model's chat template.
"""
