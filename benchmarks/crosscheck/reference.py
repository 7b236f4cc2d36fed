"""What transformers makes of a GGUF file: log-probabilities and attention of given tokens.

    python reference.py TASK.json RESULT.npz

It runs in an environment of its own with torch, transformers and gguf, and imports nothing of ours, so
that both sides share no code but the file. All is float32; weights are dequantized by gguf's own code.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM


def attention_of(model: Any, layers: list[int], kept: dict[int, Any]) -> None:
    """Let layers leave the attention of their last position behind, [heads, positions]."""
    for at in layers:

        def keep(_module: Any, _given: Any, found: Any, *, at: int = at) -> None:
            kept[at] = found[1][0, :, -1].to(torch.float32).numpy()

        model.model.layers[at].self_attn.register_forward_hook(keep)


def main() -> None:
    """Read the task, run all texts, write what was found and with which versions."""
    task = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    torch.set_num_threads(task["threads"])
    file = Path(task["file"])
    config = AutoConfig.from_pretrained(file.parent, gguf_file=file.name)
    for key, value in task["config"].items():
        setattr(config, key, value)
    how: Any = {"config": config, "dtype": torch.float32, "attn_implementation": "eager"}
    model: Any = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, **how
    ).eval()
    kept: dict[int, Any] = {}
    attention_of(model, task["layers"], kept)
    out: dict[str, Any] = {}
    for text in task["texts"]:
        tokens = torch.tensor([text["tokens"]])
        places = torch.tensor(text["positions"])
        with torch.inference_mode():
            logits = model(tokens, use_cache=False, logits_to_keep=places).logits[0].float()
        out[f"{text['name']}/log_probs"] = torch.log_softmax(logits, -1).numpy()
        if task["layers"]:
            rows = [kept[at] for at in task["layers"]]
            out[f"{text['name']}/attention"] = np.stack(rows)
    np.savez(sys.argv[2], **out)
    print(json.dumps({name: version(name) for name in ("torch", "transformers", "gguf")}))


if __name__ == "__main__":
    main()
