import pytest

from et_agent.decoding import Branch, ForkKind, Tree

PROMPT = 3


def grown(*lengths: int) -> Tree:
    tree = Tree(PROMPT)
    extend(tree.branches[0], lengths[0])
    return tree


def extend(branch: Branch, count: int) -> None:
    """Tokens that tell branch and position."""
    branch.tokens += [100 * branch.id + branch.end + i for i in range(count)]


def fork(tree: Tree, branch: int, position: int, share: float, *others: float) -> list[Branch]:
    return tree.fork(branch, position, ForkKind.DISTINCT, 1.0, share, others)


def test_a_tree_begins_as_one_leaf_with_all_the_weight() -> None:
    tree = Tree(PROMPT)
    assert tree.weights().tolist() == [1.0]
    assert tree.leaf_count() == 1
    assert tree.path(0) == []


def test_forks_in_any_order_of_positions_multiply_their_shares() -> None:
    tree = grown(10)
    (late,) = fork(tree, 0, 8, 0.5, 0.5)
    extend(late, 4)
    (early,) = fork(tree, 0, 2, 0.8, 0.2)  # the late fork lies behind this one
    extend(early, 6)
    (nested,) = fork(tree, late.id, 10, 0.25, 0.75)
    extend(nested, 1)
    (before,) = fork(tree, 0, 5, 0.6, 0.4)
    extend(before, 2)
    expected = [0.5 * 0.8 * 0.6, 0.5 * 0.8 * 0.6 * 0.25, 0.2, 0.8 * 0.5 * 0.6 * 0.75, 0.8 * 0.4]
    assert tree.weights() == pytest.approx(expected)
    assert tree.weights().sum() == pytest.approx(1.0, abs=1e-12)
    assert tree.path(nested.id) == [*range(8), 108, 109, 310]
    assert [branch.lineage for branch in tree.branches] == [
        (),
        (8, 0),
        (2, 0),
        (8, 0, 10, 0),
        (5, 0),
    ]


def test_what_is_shared_ends_at_the_fork() -> None:
    tree = grown(10)
    (late,) = fork(tree, 0, 8, 0.5, 0.5)
    extend(late, 4)
    (early,) = fork(tree, 0, 2, 0.8, 0.2)
    extend(early, 6)
    (nested,) = fork(tree, late.id, 10, 0.25, 0.75)
    extend(nested, 3)
    assert tree.shared(0, 0) == 10
    assert tree.shared(0, late.id) == tree.shared(late.id, 0) == 8
    assert tree.shared(nested.id, 0) == 8
    assert tree.shared(nested.id, late.id) == 10
    assert tree.shared(early.id, nested.id) == tree.shared(nested.id, early.id) == 2
    assert [b.id for b in tree.through(0, 7)] == [0, late.id, nested.id]
    assert [b.id for b in tree.through(0, 8)] == [0]
    assert [b.id for b in tree.through(0, 1)] == [0, late.id, early.id, nested.id]
    assert [b.id for b in tree.through(late.id, 9)] == [late.id, nested.id]


def test_a_fork_is_refused_where_it_would_break_the_weights() -> None:
    tree = grown(5)
    fork(tree, 0, 3, 0.5, 0.5)
    with pytest.raises(ValueError, match="sum to"):
        fork(tree, 0, 2, 0.5, 0.4)
    with pytest.raises(ValueError, match="sum to"):
        fork(tree, 0, 2, float("nan"), 0.4)
    with pytest.raises(ValueError, match="does not lie on branch"):
        fork(tree, 0, 6, 0.5, 0.5)
    with pytest.raises(ValueError, match="does not lie on branch"):
        fork(tree, 1, 2, 0.5, 0.5)
    with pytest.raises(ValueError, match="was forked before"):
        fork(tree, 0, 3, 0.5, 0.5)
    assert len(tree.branches) == 2


def test_tokens_are_counted_once_in_the_tree_and_each_time_in_chains() -> None:
    tree = grown(6)
    (child,) = fork(tree, 0, 4, 0.5, 0.5)
    extend(child, 3)
    child.codes = 2
    assert tree.tokens_decoded == 9
    assert tree.tokens_as_chains == 6 + 2 * 7
    assert tree.leaf_count() == 3
