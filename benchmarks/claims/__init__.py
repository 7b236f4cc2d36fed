"""Long answers, claim by claim: what the confidence of a claim is worth.

    python -m benchmarks.claims decode --model qwen2.5-coder-0.5b
    python -m benchmarks.claims unlabelled     # claims that have no label yet
    python -m benchmarks.claims fit            # the map that is shipped
    python -m benchmarks.claims judge          # benchmarks/results/claims.json

The questions are `benchmarks/questions/long.jsonl`. `labels.jsonl` beside this file says of each claim
whether it is true, as it was read without its confidence; null where that cannot be said. Questions
with an odd number fit the map, the others judge it.
"""
