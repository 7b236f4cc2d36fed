"""Decode, fit, or write tables. See the package."""

import argparse

from benchmarks import retrieval
from benchmarks.retrieval.decoding import decode, measure, read
from benchmarks.retrieval.fitting import fit
from benchmarks.retrieval.questions import SPLITS
from benchmarks.retrieval.study import study
from benchmarks.retrieval.tables import write_tables
from benchmarks.runs import LARGER, SMALL


def main() -> None:
    parser = argparse.ArgumentParser(
        description=retrieval.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    decoding = commands.add_parser("decode")
    decoding.add_argument("--model", choices=[SMALL, LARGER], required=True)
    decoding.add_argument("--split", choices=list(SPLITS), required=True)
    decoding.add_argument("--questions", type=int, default=150, help="of each sort")
    decoding.add_argument("--minutes", type=float, default=60.0, help="stop after about as long")
    measuring = commands.add_parser("measure")
    measuring.add_argument("--split", choices=list(SPLITS), required=True)
    measuring.add_argument("--questions", type=int, default=200, help="of each sort")
    reading = commands.add_parser("read")
    reading.add_argument("--model", choices=[SMALL, LARGER], required=True)
    reading.add_argument("--split", choices=list(SPLITS), required=True)
    reading.add_argument("--questions", type=int, default=200, help="of each sort")
    commands.add_parser("study")
    commands.add_parser("fit")
    commands.add_parser("tables")
    options = parser.parse_args()
    match options.command:
        case "decode":
            decode(options.model, options.split, options.questions, options.minutes)
        case "measure":
            measure(options.split, options.questions)
        case "read":
            read(options.model, options.split, options.questions)
        case "study":
            study()
        case "fit":
            fit()
        case "tables":
            write_tables()


if __name__ == "__main__":
    main()
