from hypothesis import given
from hypothesis import strategies as st

from et_agent.answers.braces import boxes, nesting_depth, read_group

balanced = st.recursive(
    st.text(alphabet="ab1 +", max_size=4),
    lambda inner: st.lists(inner.map("{{{}}}".format) | inner, max_size=3).map("".join),
    max_leaves=12,
)


@given(balanced, st.text(max_size=10))
def test_a_balanced_group_is_read_whole(content: str, after: str) -> None:
    group = read_group("{" + content + "}" + after, 0)
    assert (group.content, group.closed, group.end) == (content, True, len(content) + 2)


@given(balanced)
def test_the_box_holds_what_was_put_into_it(content: str) -> None:
    assert [box.content for box in boxes(f"so \\boxed{{{content}}}.")] == [content]


@given(st.text(alphabet="\\boxed{}5 \n", max_size=60))
def test_boxes_never_fail_and_never_loop(text: str) -> None:
    assert len(list(boxes(text))) <= len(text)


def test_escaped_braces_do_not_count() -> None:
    assert next(boxes(r"\boxed{\{1, 2\}}")).content == r"\{1, 2\}"


def test_a_box_without_braces_and_a_frame() -> None:
    assert [box.content for box in boxes(r"\boxed 5. \fbox{7} \framebox{8}")] == ["5", "7", "8"]


def test_an_unclosed_box_ends_with_its_line() -> None:
    box = next(boxes("\\boxed{72\nThis is all."))
    assert (box.content, box.closed) == ("72", False)


def test_nesting_depth_ignores_stray_closers() -> None:
    assert nesting_depth(")}{([x])}") == 3
