"""The page: what is in it, that model text cannot run, and how it behaves in a browser."""

import base64
import hashlib
import json
import re
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest

from et_agent.gate import Decision, Gate, GatePolicy
from et_agent.pages import drawing_module, drawing_style, notebook_html, result_page
from et_agent.results import (
    AskResult,
    CalibrationReport,
    ClaimReport,
    FieldReport,
    FieldShare,
    Leaf,
    TreeReport,
)
from et_agent.uncertainty.answer_distribution import AnswerShare
from tests.pages.conftest import Open

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload="alert(1)">',
    "&lt;script&gt;",
    "a\u2028b\u2029c",
    "\u202eevil\u202c\u2066x\u2069\u200f",
    "{{data}} {{script}}",
    "javascript:alert(1)",
    "\x00\x1b[31m\ud83d",
)


class Parsed(HTMLParser):
    """Elements of a page, and the text of those that hold code or data."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": [], "title": []}
        self._open = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag
        if tag in self.raw:
            self.raw[tag].append("")

    def handle_data(self, data: str) -> None:
        if self._open in self.raw:
            self.raw[self._open][-1] += data

    def handle_endtag(self, tag: str) -> None:
        self._open = ""


def hostile(result: AskResult, text: str) -> AskResult:
    """The result with a text wherever a model or a user may put one."""
    tree = result.tree
    assert tree is not None
    nodes = tuple(
        node.model_copy(
            update={
                "text": text,
                "pieces": (text,) * len(node.entropies),
                "alternatives": tuple(
                    tuple(one.model_copy(update={"text": text}) for one in choices)
                    for choices in node.alternatives or ()
                ),
            }
        )
        for node in tree.nodes
    )
    leaves = tuple(
        leaf.model_copy(update={"text": text, "answer": text, "reasoning": text})
        for leaf in tree.leaves
    )
    share = AnswerShare(answer=text, share=1.0, leaves=8, share_by_count=1.0)
    field = FieldReport(value=text, share=1.0, alternatives=(FieldShare(value=text, share=0.1),))
    return result.model_copy(
        update={
            "question": text,
            "answer": text,
            "passages": (text,),
            "notes": (text,),
            "kind_reason": text,
            "fields": {text: field},
            "distribution": (share,),
            "tree": TreeReport(nodes=nodes, leaves=leaves),
        }
    )


def decided(result: AskResult) -> Decision:
    return Gate(GatePolicy(answer_at=0.8)).decide(result)


@pytest.fixture
def page(result: AskResult) -> str:
    return result_page(result, decided(result))


def test_the_page_carries_the_result_and_the_decision(page: str, result: AskResult) -> None:
    data = json.loads(Parsed(page).raw["script"][0])
    assert data["result"]["answer"] == "72"
    assert data["decision"]["action"] == "abstain"
    assert data["result"]["confidence"] == result.confidence
    node = data["result"]["tree"]["nodes"][1]
    assert "".join(node["pieces"]) == node["text"]
    assert "tokens" not in node


def test_nothing_but_the_page_s_own_code_may_run_or_load(page: str) -> None:
    parsed = Parsed(page)
    policy = next(
        attributes["content"] or ""
        for tag, attributes in parsed.tags
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))

    def digest(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    assert rules == {
        "default-src": "'none'",
        "script-src": digest(parsed.raw["script"][1]),
        "style-src": digest(parsed.raw["style"][0]),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    names = {name for _, attributes in parsed.tags for name in attributes}
    assert not {name for name in names if name.startswith("on")}
    assert not names & {"src", "href", "style"}


def test_the_own_code_writes_no_markup(page: str) -> None:
    own = Parsed(page).raw["script"][1].rpartition("(() => {\n")[2]
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\.html\(|eval", own)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_becomes_markup(text: str, result: AskResult) -> None:
    plain, changed = hostile(result, "plain"), hostile(result, text)
    page = result_page(changed)
    parsed = Parsed(page)
    assert parsed.tags == Parsed(result_page(plain)).tags
    data = parsed.raw["script"][0]
    assert not set(data) & set("<>&\u2028\u2029\u202e")
    assert json.loads(data)["result"]["answer"] == text


@pytest.fixture
def sampled(result: AskResult) -> AskResult:
    """A result of a server, which tells neither entropies nor probabilities."""
    tree = result.tree
    assert tree is not None
    unknown = [
        {"entropies": (None,) * len(node.entropies), "log_probs": (None,) * len(node.entropies)}
        for node in tree.nodes
    ]
    nodes = tuple(
        node.model_copy(update={**one, "pieces": None, "alternatives": None})
        for node, one in zip(tree.nodes, unknown, strict=True)
    )
    return result.model_copy(update={"tree": TreeReport(nodes=nodes, leaves=tree.leaves)})


def test_what_a_server_does_not_tell_is_left_open(sampled: AskResult) -> None:
    data = json.loads(Parsed(result_page(sampled)).raw["script"][0])
    assert {one for node in data["result"]["tree"]["nodes"] for one in node["entropies"]} == {None}


def test_an_unknown_entropy_is_not_shown_as_zero(sampled: AskResult, open_page: Open) -> None:
    page = open_page(result_page(sampled))
    labels = [one.get_attribute("aria-label") or "" for one in page.get_by_role("treeitem").all()]
    assert any("entropy unknown" in label for label in labels)
    assert not any("nats" in label for label in labels)
    assert "0.00 nats" not in (page.locator(".token").first.get_attribute("aria-label") or "")


def test_parts_for_servers_pages_are_those_of_the_page(page: str) -> None:
    module = drawing_module()
    exported = module.rpartition("export {")[2]
    assert {"drawResult", "TreeMap", "Answers", "made"} <= set(re.findall(r"\w+", exported))
    script = Parsed(page).raw["script"][1]
    assert module.rpartition("export {")[0].rpartition("// A result in cards")[2].strip() in script
    assert drawing_style() == Parsed(page).raw["style"][0]


def test_a_notebook_gets_the_page_in_a_closed_frame(result: AskResult) -> None:
    shown = result._repr_html_()
    ((tag, attributes),) = Parsed(shown).tags
    assert (tag, attributes["sandbox"]) == ("iframe", "allow-scripts")
    assert unescape(attributes["srcdoc"] or "") == unescape(result_page(result))
    assert notebook_html(result) == shown


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_does_not_run(text: str, result: AskResult, open_page: Open) -> None:
    page = open_page(result_page(hostile(result, text)))
    shown = page.locator("h1").text_content() or ""
    assert shown.startswith(text[:1]) or "U+" in shown
    assert not set(shown) & set("\u202e\u202c\u2066\u2069\u200f\u2028\u2029")
    assert page.locator("main script, main img, main svg[onload]").count() == 0


def test_answers_tree_and_decision_are_seen(page: str, open_page: Open) -> None:
    seen = open_page(page)
    assert seen.get_by_role("tree").count() == 1
    assert seen.get_by_role("treeitem").count() == 6
    assert "gate: abstain" in seen.inner_text("main")
    assert seen.locator(".rungs [aria-current]").inner_text() == "general map"
    assert seen.locator(".shares .key").all_inner_texts() == ["A", "B", "C", "\N{EN DASH}"]
    assert "answer A, 72" in seen.locator(".path h3").inner_text()


def test_letters_are_for_answers_alone(result: AskResult, open_page: Open) -> None:
    turned = result.model_copy(update={"distribution": result.distribution[::-1]})
    seen = open_page(result_page(turned))
    assert seen.locator(".shares .key").all_inner_texts() == ["\N{EN DASH}", "A", "B", "C"]


def test_an_answer_s_button_leaves_its_paths(page: str, open_page: Open) -> None:
    seen = open_page(page)
    button = seen.locator(".shares button").nth(1)
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert "answer B, 96" in seen.locator(".path h3").inner_text()
    bright = seen.locator(".item:not(.dim)")
    assert bright.count() == 2  # the root and the leaf
    button.click()
    assert seen.locator(".dim").count() == 0


def test_the_keyboard_walks_the_tree_and_the_tokens(page: str, open_page: Open) -> None:
    seen = open_page(page)
    seen.locator(".item[tabindex='0']").focus()
    seen.keyboard.press("Home")
    assert seen.locator("#tip").is_visible()
    assert "sides, by share" in seen.locator("#tip").inner_text()
    seen.keyboard.press("ArrowRight")
    assert seen.locator(".item[aria-selected='true']").get_attribute("aria-level") == "2"
    seen.keyboard.press("End")
    seen.locator(".token[tabindex='0']").focus()
    assert "the model's next tokens" in seen.locator("#tip").inner_text()
    first = seen.locator("#tip").inner_text()
    seen.keyboard.press("ArrowRight")
    assert seen.locator("#tip").inner_text() != first
    seen.keyboard.press("Escape")
    assert not seen.locator("#tip").is_visible()


def test_thoughts_are_folded(result: AskResult, open_page: Open) -> None:
    tree = result.tree
    assert tree is not None
    leaves = tuple(leaf.model_copy(update={"reasoning_tokens": 12}) for leaf in tree.leaves)
    changed = result.model_copy(update={"tree": tree.model_copy(update={"leaves": leaves})})
    seen = open_page(result_page(changed))
    assert "Thought, 12 tokens" in seen.locator(".path summary").inner_text()
    said = seen.locator(".path .words").inner_text()
    assert "First half" not in said
    seen.locator(".path summary").click()
    seen.locator(".path details .words").wait_for(timeout=10_000)  # the fold opens a little later


def test_fields_are_coloured_by_confidence(result: AskResult, open_page: Open) -> None:
    basis = CalibrationReport(source="general", labels=0, interval=(0.1, 0.9))
    fields = {
        "amount": FieldReport(value=3, share=0.6, confidence=0.4, calibration=basis),
        "name": FieldReport(value="x", share=1.0),
    }
    seen = open_page(result_page(result.model_copy(update={"fields": fields})))
    styles = seen.locator("td .sure").evaluate_all("all => all.map(one => one.style.cssText)")
    assert styles == ["--part: 40.00%;", ""]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_fits_and_nothing_is_inaccessible(
    scheme: Any, width: int, page: str, open_page: Open
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    seen = open_page(page, viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert seen.evaluate("document.documentElement.scrollWidth") <= width
    found = axe.Axe().run(seen)
    wrong = [
        (one["id"], node["target"]) for one in found.response["violations"] for node in one["nodes"]
    ]
    assert wrong == []


def wide_tree(result: AskResult, leaves: int, tokens: int) -> AskResult:
    """A result with a binary tree of so many leaves, each a path of so many tokens."""
    assert result.tree is not None
    node, leaf = result.tree.nodes[1], result.tree.leaves[0]
    depth = leaves.bit_length() - 1
    length = tokens // depth
    choices = (node.alternatives or ())[0]
    nodes = [
        node.model_copy(
            update={
                "parent": None if place == 0 else (place - 1) // 2,
                "start": length * ((place + 1).bit_length() - 1),
                "text": "word " * length,
                "tokens": (1,) * length,
                "pieces": ("word ",) * length,
                "entropies": (0.7,) * length,
                "log_probs": (-0.5,) * length,
                "alternatives": (choices,) * length,
                "weight": 0.5 ** ((place + 1).bit_length() - 1),
                "branch_share": 0.5,
            }
        )
        for place in range(2 * leaves - 1)
    ]
    ends: list[Leaf] = [
        leaf.model_copy(update={"node": leaves - 1 + place, "weight": 1 / leaves})
        for place in range(leaves)
    ]
    return result.model_copy(update={"tree": TreeReport(nodes=tuple(nodes), leaves=tuple(ends))})


def test_a_large_tree_is_smooth(result: AskResult, open_page: Open) -> None:
    """In seconds of the page's own thread, since others may use the machine."""
    seen = open_page("<title>empty</title>")
    session = seen.context.new_cdp_session(seen)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))

    seen.set_content(result_page(wide_tree(result, leaves=64, tokens=500)))
    assert seen.get_by_role("treeitem").count() == 127
    assert busy() < 4
    steps = 40
    seen.locator(".item[tabindex='0']").focus()
    seen.keyboard.press("Home")
    before = busy()
    for _ in range(steps):
        seen.keyboard.press("ArrowDown")
    assert seen.locator(".item[aria-selected='true']").get_attribute("aria-level") != "1"
    assert (busy() - before) / steps < 0.15


def test_claims_are_coloured_by_confidence(result: AskResult, open_page: Open) -> None:
    basis = CalibrationReport(source="general", labels=0, interval=(0.1, 0.9))
    claims = (
        ClaimReport(text="It rains.", span=(0, 9), confidence=0.25, calibration=basis),
        ClaimReport(text="So.", span=(10, 13)),
    )
    seen = open_page(result_page(result.model_copy(update={"claims": claims})))
    assert seen.locator(".claims li").all_inner_texts() == ["It rains. 25%", "So. not checked"]
    styles = seen.locator(".claims .sure").evaluate_all("all => all.map(one => one.style.cssText)")
    assert styles == ["--part: 25.00%;", ""]
