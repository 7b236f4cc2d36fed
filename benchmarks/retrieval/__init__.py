"""Answers out of given passages: questions that a passage answers, and questions that none does.

    ET_AGENT_DATA=…/raw python -m benchmarks.retrieval decode --model NAME --split calibrate|judge \\
        [--questions 150] [--minutes 30]
    ET_AGENT_DATA=…/raw python -m benchmarks.retrieval measure --split calibrate|judge
    ET_AGENT_DATA=…/raw python -m benchmarks.retrieval read --model NAME --split calibrate|judge
    python -m benchmarks.retrieval study     # which features pay, on the calibration split alone:
                                             # benchmarks/results/retrieval-study.json
    python -m benchmarks.retrieval fit       # the general map that is shipped
    python -m benchmarks.retrieval tables    # benchmarks/results/retrieval.json, docs/confidence.md

The questions are those of SQuAD 2.0 (Rajpurkar et al. 2018, CC BY-SA 4.0), each with the one passage
that it was written for. `calibrate` and `judge` are of different articles. `--questions` is the number
of each sort: so many that their passage answers and so many that it does not. `decode` keeps what it
has after every few questions, and the same call goes on with the rest. `measure` looks
once more what stands beside the answers in the passages. `read` asks the model whether their sentences
say them, of questions that were decoded before it was asked that. The others need no data: what is kept
(`benchmarks/results/retrieval`) holds answers and statistics, but no passages.
"""
