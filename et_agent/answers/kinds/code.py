"""The kind `code`: a program or a piece of one, compared by its tokens."""

import re
from typing import Final

from et_agent.answers.code import code_key, find_code, looks_like_code
from et_agent.answers.finders import Found, find_boxed, find_last_line, find_marked
from et_agent.answers.kinds.base import Kind, Reading, Suggestion
from et_agent.answers.latex import strip_markdown, unwrap_text

__all__ = ["CODE"]

_ASKED: Final = re.compile(
    r"\b(?:write|give|create|implement|provide|schreibe?|écri[st]|escribe|scrivi|escreva|"
    r"напиши(?:те)?)\b[^.?\n]{0,60}"
    r"\b(?:function|method|class|program|script|code|query|regex|regular expression|one-liner|"
    r"snippet|command|"
    r"funktion|programm|fonction|función|funzione|função|функци\w+|программ\w+|код)(?!\w)"
    r"|\b(?:in|en|auf|на) (?:python|javascript|java|c\+\+|c#|rust|go|sql|bash|typescript|ruby|"
    r"kotlin|swift)\b"
    r"|(?:python|javascript|java|sql|c\+\+) ?(?:function|code|query|expression|one-liner|函数|"
    r"代码|関数|コード|함수|코드|دالة|फ़ंक्शन)"
    r"|写一个.{0,12}函数|编写.{0,20}(?:函数|代码)|関数を書|함수를 작성|اكتب (?:دالة|كود)|फ़ंक्शन लिख",
    re.IGNORECASE,
)
_ABOUT_CODE: Final = re.compile(
    r"\b(?:what (?:does|is|will|would)|output of|how many|why|which|who|when|explain)\b",
    re.IGNORECASE,
)
_LATEX: Final = re.compile(r"\\([{}_%$#&])|\\(?:textbackslash|backslash)")


class _Code(Kind):
    instruction = "Put only the code, without examples, in one block of code or in \\boxed{}."
    noun = "code"
    overruled = False
    reads_code = True
    finders = (find_code, find_boxed, find_marked, find_last_line)

    def suggestion(self, question: str) -> Suggestion | None:
        """Write a function; not what a program does."""
        found = _ASKED.search(question)
        if found is None or (
            _ABOUT_CODE.search(question) and not re.search(r"\bwrite\b", question, re.I)
        ):
            return None
        return Suggestion(15, f'The question says "{found.group().strip()}".')

    def rank(self, content: str, question: str) -> int | None:
        """The signs of a program, where one is asked for."""
        asked = question and self.suggestion(question) is not None
        return 4 if asked and looks_like_code(content) else None

    def read(self, found: Found, question: str) -> Reading | None:
        """The code of a block or a box; of a line only if it looks like code."""
        del question
        code = found.content
        if found.found_by == "boxed":
            code = _LATEX.sub(lambda match: match[1] or "\\", unwrap_text(code))
        elif found.found_by != "code":
            code = strip_markdown(code)
            if not looks_like_code(code):
                return None
        key = code_key(code)
        return None if key is None else Reading(code.strip("\n"), ("code", key))


CODE: Final = _Code()
