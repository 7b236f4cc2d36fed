"""Long answers, claim by claim: what the confidence of a claim is worth.

    python -m benchmarks.claims decode --model qwen2.5-coder-0.5b
    python -m benchmarks.claims claims        # splits what is shown, for labelling
    python -m benchmarks.claims check --model qwen2.5-coder-0.5b
    python -m benchmarks.claims fit           # the shipped map, and the table

The questions are `benchmarks/questions/long.jsonl`. `labels.jsonl` beside this file says of each claim
whether it is true, as a person read it. Questions with an odd number fit the map, the others judge it.
"""
