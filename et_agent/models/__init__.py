"""Where logits and attention come from."""
