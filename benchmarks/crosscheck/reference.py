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
from gguf import GGUFReader
from transformers import AutoConfig, AutoModelForCausalLM


def attention_of(model: Any, layers: list[int], kept: dict[int, Any]) -> None:
    """Let layers leave the attention of their last position behind, [heads, positions]."""
    for at in layers:

        def keep(_module: Any, _given: Any, found: Any, *, at: int = at) -> None:
            kept[at] = found[1][0, :, -1].to(torch.float32).numpy()

        model.model.layers[at].self_attn.register_forward_hook(keep)


def filled(model: Any, file: Path) -> set[str]:
    """Give gpt-oss its experts and sinks, which transformers 5.24 does not read: their names."""
    if model.config.model_type != "gpt_oss":
        return set()
    tensors = {one.name: torch.from_numpy(one.data.copy()) for one in GGUFReader(file).tensors}
    names = set()
    for at, layer in enumerate(model.model.layers):

        def of(name: str, *, at: int = at) -> Any:
            return tensors[f"blk.{at}.{name}"]

        experts = layer.mlp.experts
        parts = {
            "self_attn.sinks": of("attn_sinks.weight"),
            # Gate and up take turns in the last axis; weights are on the right of what they multiply.
            "mlp.experts.gate_up_proj": torch.stack(
                [of("ffn_gate_exps.weight").mT, of("ffn_up_exps.weight").mT], -1
            ).reshape(experts.gate_up_proj.shape),
            "mlp.experts.gate_up_proj_bias": torch.stack(
                [of("ffn_gate_exps.bias"), of("ffn_up_exps.bias")], -1
            ).reshape(experts.gate_up_proj_bias.shape),
            "mlp.experts.down_proj": of("ffn_down_exps.weight").mT,
            "mlp.experts.down_proj_bias": of("ffn_down_exps.bias"),
        }
        for name, value in parts.items():
            layer.get_parameter(name).data.copy_(value)
            names.add(f"model.layers.{at}.{name}")
    return names


def main() -> None:
    """Read the task, run all texts, write what was found and with which versions."""
    task = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    torch.set_num_threads(task["threads"])
    file = Path(task["file"])
    config = AutoConfig.from_pretrained(file.parent, gguf_file=file.name)
    for key, value in task["config"].items():
        setattr(config, key, value)
    how: Any = {"config": config, "dtype": torch.float32, "attn_implementation": "eager"}
    model: Any
    model, told = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, output_loading_info=True, **how
    )
    model.eval()
    left = set(told["missing_keys"]) - filled(model, file)
    if left:
        sys.exit(f"transformers does not read {len(left)} tensors, such as {min(left)}")
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
