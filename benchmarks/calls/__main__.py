"""Show a task, decode, or write what was found. See the package."""

import argparse

from benchmarks.calls.decoding import SETS, decode, task
from benchmarks.calls.tables import write_tables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["show", "decode", "tables"])
    parser.add_argument("number", type=int, nargs="?", default=0, help="of the task to show")
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--set", choices=list(SETS), default="judge")
    parser.add_argument("--tasks", type=int, help="how many; all of the set if not given")
    parser.add_argument("--leaves", type=int, default=8)
    parser.add_argument("--minutes", type=float, help="stop after about as long")
    options = parser.parse_args()
    match options.command:
        case "show":
            one = task(options.set, options.number)
            names = ", ".join(tool["function"]["name"] for tool in one.tools)
            print(*(f"{said['role']}: {said['content']}" for said in one.messages), sep="\n")
            print(
                f"tools: {names}\n{one.group}, {sorted(one.hard)}: {one.call or 'a reply in words'}"
            )
        case "decode":
            decode(
                options.model,
                options.set,
                tasks=options.tasks or SETS[options.set][1],
                leaves=options.leaves,
                minutes=options.minutes,
            )
        case "tables":
            write_tables()


if __name__ == "__main__":
    main()
