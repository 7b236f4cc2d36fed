import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent.engines.gbnf import Gbnf
from et_agent.errors import SettingsError


def matches(grammar: str, text: str) -> bool:
    parsed = Gbnf.parse(grammar)
    return parsed.complete(parsed.accept(parsed.start(), text))


@pytest.mark.parametrize(
    ("grammar", "texts", "others"),
    [
        ('root ::= "ab" | "c"', ["ab", "c"], ["a", "abc", ""]),
        ("root ::= [a-c] [^x] # a comment\n\n", ["az", "ca"], ["ax", "dz"]),
        ('root ::= "a"? "b"* "c"+', ["c", "abbcc"], ["ab", "aac"]),
        ('root ::= "a"{2,3} "b"{2} "c"{1,}', ["aabbc", "aaabbccc"], ["abbc", "aabc", "aabb"]),
        ('root ::= ("a" | "b"\n "c")* "d"', ["d", "abcd"], ["bd"]),
        ('root ::= x-1\nx-1 ::= "\\"\\\\\\n\\x41\\u00e9\\U0001F600"', ['"\\\nAé😀'], ["A"]),
        ('root ::= "(" root ")" | ""', ["", "(())"], ["(()"]),
        ("root ::= [-a] [a-] [\\]]", ["-a]", "a-]"], ["b-]"]),
        ("root ::= .", ["x", "é"], ["", "xx"]),
    ],
)
def test_grammars(grammar: str, texts: list[str], others: list[str]) -> None:
    assert all(matches(grammar, text) for text in texts)
    assert not any(matches(grammar, text) for text in others)


@pytest.mark.parametrize(
    ("grammar", "says"),
    [
        ("", "no rule root"),
        ('x ::= "a"', "no rule root"),
        ("root ::= nope also", "no rule also, nope"),
        ('root = "a"', "line 1 lacks ::="),
        ('root ::= "a"\nb ::= ("c"', r"line 2 lacks a closing \)"),
        ('root ::= "a', "closing quote"),
        ("root ::= [a", "closing ]"),
        ("root ::= [a-", "end of a range|closing ]"),
        ('root ::= "\\q"', "after a backslash"),
        ('root ::= "\\xZZ"', "2 hexadecimal digits"),
        ('root ::= "a" ]', "end of the line"),
        ("::= a", "a rule's name"),
        ('root ::= "a"{3,2}', "at most 2000, least first"),
        ('root ::= "a"{2001}', "at most 2000"),
        ('root ::= root "a"', "rule root begins with itself"),
        ('root ::= x? y\nx ::= "a"\ny ::= x? root', "begins with itself"),
        ('root ::= (root)* "a"', "begins with itself"),
        ("root ::= " + "(" * 2000 + '"a"' + ")" * 2000, "too deeply"),
    ],
)
def test_what_is_no_grammar_is_said(grammar: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        Gbnf.parse(grammar)


@given(st.text(alphabet='ab"[]()|*?{}:=\\ \n-', max_size=30))
def test_any_text_is_a_grammar_or_an_error(text: str) -> None:
    try:
        grammar = Gbnf.parse(f"root ::= {text}")
    except SettingsError:
        return
    grammar.accept(grammar.start(), "ab")
