"""Decode, list claims for labelling, fit, judge. See the package."""

import argparse
import json

from benchmarks import claims
from benchmarks.claims.decoding import decode_questions
from benchmarks.claims.judging import fit, judge
from benchmarks.claims.labelled import MODELS, unlabelled
from et_agent.engines.loading import load_model


def main() -> None:
    parser = argparse.ArgumentParser(
        description=claims.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    decoding = commands.add_parser("decode")
    decoding.add_argument("--model", choices=MODELS, required=True)
    decoding.add_argument("--minutes", type=float, help="stop after about as long")
    for name in ("unlabelled", "fit", "judge"):
        commands.add_parser(name)
    options = parser.parse_args()
    match options.command:
        case "decode":
            with load_model(options.model) as model:
                decode_questions(model, options.model, options.minutes)
        case "unlabelled":
            for row in unlabelled():
                print(json.dumps(row, ensure_ascii=False))
        case "fit":
            fit()
        case "judge":
            judge()


if __name__ == "__main__":
    main()
