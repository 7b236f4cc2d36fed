import pytest

from et_agent.answers import find_boxed, find_last_line, find_marked


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"first \boxed{1}, no: \boxed{2}", "2"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{72} so \boxed{}", "72"),
        (r"\[ \boxed{x = {5}} \]", "x = {5}"),
        ("no box", None),
    ],
)
def test_boxed(text: str, content: str | None) -> None:
    found = find_boxed(text)
    assert (found and found.content) == content


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("The answer is 5. \nSo the answer is 7.", "7."),
        ("**Final Answer:** 12", "12"),
        ("**Answer**: Paris", "Paris"),
        ("Final Answer\n\n\\[\n72\n\\]", "72"),
        ("### Final Answer:\n$5$", "$5$"),
        ("9 * 2 = 18\n#### 18", "18"),
        ("The correct option is (B).", "(B)."),
        ("The answer to the question is: 4", "4"),
        ("The final answer is therefore 9", "9"),
        ("#### Step 1\nWe add.", None),
        ("I cannot answer that", None),
        ("The answer is:", None),
    ],
)
def test_marked(text: str, content: str | None) -> None:
    found = find_marked(text)
    assert (found and found.content) == content


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("a\nb\n\n", "b"),
        ("It is 5.\nI hope this helps!", "It is 5."),
        ("5\n\\]\n**", "5"),
        ("", None),
        (" \n\t", None),
    ],
)
def test_last_line(text: str, content: str | None) -> None:
    found = find_last_line(text)
    assert (found and found.content) == content
