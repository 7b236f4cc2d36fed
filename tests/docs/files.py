"""The files that the documents name in the folder at work."""

import json
from collections.abc import Mapping
from typing import Final

_ROWS: Final = [{"question": f"What is {n} + {n}?", "answer": str(2 * n)} for n in range(1, 7)]

FILES: Final[Mapping[str, str]] = {
    "mine.csv": "question,answer\nHow many days have 3 weeks?,21\nWhat is 7 times 8?,56\n",
    "mine.jsonl": "".join(json.dumps(row) + "\n" for row in _ROWS),
    "mine.txt": "How many days have 3 weeks?\nWhat is 7 times 8?\n",
    "answers.jsonl": '{"question": "What is 15 % of 240?", "answer": "36"}\n',
    "observatory.txt": "The telescope was built by Ida Brandt in 1911.\n",
    "notes.txt": "The ferry takes 25 minutes.\n",
}
