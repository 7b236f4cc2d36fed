"""The page in a browser: asking, correcting, comparing, thresholds, decisions, keys."""

import re
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from ..support import Served, endless, until
from .conftest import QUESTION, TEXTS, Open, slow

if TYPE_CHECKING:
    from playwright.sync_api import Page

Site = Callable[..., Served]
KEY = "a-key-of-some-length"


def ask(page: "Page", question: str = QUESTION) -> None:
    page.get_by_label("Question", exact=True).fill(question)
    page.keyboard.press("Enter")


def answered(page: "Page", turns: int = 1) -> None:
    page.get_by_role("button", name="Right").nth(turns - 1).wait_for()


def gate_on(page: "Page", doubt: str = "abstain", at: str = "0.4") -> None:
    page.get_by_text("Settings", exact=True).click()
    page.get_by_label("Below the threshold").first.select_option(doubt)
    page.get_by_label("Threshold", exact=True).first.fill(at)


def test_words_and_tree_are_shown_before_the_tree_is_done(site: Site, open_page: Open) -> None:
    goes_on = threading.Event()
    page = open_page(site(slow(TEXTS, halts_at=16, goes_on=goes_on)))
    ask(page)
    page.locator(".said", has_text="3 cats").wait_for()
    page.get_by_role("treeitem", name=re.compile("unfinished")).first.wait_for()
    status = page.locator(".live [role=status]").inner_text()
    done, leaves = re.findall(r"\d+", status)[:2]
    assert int(done) < int(leaves)
    assert not page.get_by_role("button", name="Right").is_visible()
    goes_on.set()
    answered(page)
    assert page.get_by_role("treeitem", name=re.compile("unfinished")).count() == 0
    assert "P(correct)" in page.get_by_role("region", name="Confidence").inner_text()


def test_a_gate_acts_and_its_decision_is_shown(site: Site, open_page: Open) -> None:
    page = open_page(site())
    gate_on(page, at="0.99")
    ask(page)
    answered(page)
    assert "gate: abstain" in page.get_by_role("region", name="Answer", exact=True).inner_text()
    assert "not sure enough" in page.locator(".said").inner_text()


def test_a_correction_moves_the_ladder(site: Site, open_page: Open) -> None:
    page = open_page(site())
    ask(page)
    answered(page)
    rung = page.locator(".rungs [aria-current]")
    assert rung.inner_text() == "general map"
    page.get_by_role("button", name="Wrong").click()
    page.get_by_text("1 label of yours").wait_for()
    assert page.get_by_role("button", name="Wrong").get_attribute("aria-pressed") == "true"
    assert page.get_by_role("button", name="Right").is_disabled()
    page.get_by_role("button", name="New conversation").click()
    ask(page)
    answered(page)
    assert rung.inner_text() == "own calibrator"


def test_a_conversation_has_its_history_and_outlives_a_reload(site: Site, open_page: Open) -> None:
    prompts: list[str] = []

    def texts(prompt: str) -> Mapping[str, float]:
        prompts.append(prompt)
        return {"Well, \\boxed{7}": 1.0}

    page = open_page(site(slow(texts)))
    ask(page, "What is 3 + 4?")
    answered(page)
    ask(page, "And twice that?")
    answered(page, 2)
    assert re.search(r"What is 3 \+ 4\?\nWell, \\boxed\{7\}\nAnd twice that\?", prompts[-1])
    assert page.locator(".turn").count() == 2
    page.get_by_role("button", name="Show its tree").first.click()
    assert "shown" in (page.locator(".turn").first.get_attribute("class") or "")
    page.reload()
    page.locator(".turn").nth(1).wait_for()
    assert page.locator(".said").all_inner_texts() == ["Well, \\boxed{7}"] * 2
    ask(page, "Thank you")
    answered(page, 3)
    assert "And twice that?" in prompts[-1]
    page.get_by_role("button", name="New conversation").click()
    assert page.locator(".turn").count() == 0


def test_a_question_can_be_stopped(site: Site, open_page: Open) -> None:
    server = site(endless())
    page = open_page(server)
    ask(page)
    page.locator(".said", has_text="aaaa").wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("alert").get_by_text("Stopped.").wait_for()
    assert server.idle()
    assert page.locator(".turn").count() == 0
    assert page.get_by_label("Question", exact=True).input_value() == QUESTION


def test_a_refused_question_is_told(site: Site, open_page: Open) -> None:
    page = open_page(site(), expected="status of 400")
    ask(page, "word " * 5000)
    page.get_by_role("alert").get_by_text("tokens").wait_for()


def test_a_tree_that_holds_the_keyboard_stays(site: Site, open_page: Open) -> None:
    page = open_page(site(endless(0.05)))
    ask(page)
    page.locator(".map .item").first.wait_for()
    # In one step of the page: between two, the map may be another.
    page.evaluate(
        "() => { const one = document.querySelector('.map'); one.id = 'kept'; one.focus(); }"
    )
    before = page.locator(".live [role=status]").inner_text()
    page.wait_for_function(
        "before => document.querySelector('.live [role=status]').textContent !== before", arg=before
    )
    assert page.locator(".map").get_attribute("id") == "kept"
    page.get_by_role("button", name="Stop").click()


def test_two_settings_are_compared(site: Site, open_page: Open) -> None:
    page = open_page(site(), "#compare")
    page.get_by_label("Question", exact=True).fill(QUESTION)
    page.get_by_label("Leaves").first.fill("1")
    page.get_by_role("button", name="Ask both").click()
    table = page.get_by_role("table", name="The two results")
    table.wait_for()
    rows = {row[0]: row[1:] for row in map(cells, table.get_by_role("row").all())}
    assert rows["leaves"][0] == "1"
    assert int(rows["leaves"][1]) > 1
    assert rows["answer"][0] in ("16", "14", "none")
    assert page.get_by_role("tree").count() == 2


def cells(row: Any) -> list[str]:
    return list(row.locator("th, td").all_inner_texts())


def test_a_target_error_gives_a_threshold_that_is_taken_over(site: Site, open_page: Open) -> None:
    page = open_page(site(), "#risk")
    slider = page.get_by_label("Target error")
    slider.wait_for()
    begun = page.get_by_role("option", name=re.compile("begun"))
    assert begun.is_disabled()
    assert "no labelled question" in begun.inner_text()
    found = page.get_by_role("region", name="Threshold")
    threshold = found.locator(".answer").inner_text()
    assert "rests on" in found.inner_text()
    slider.press("Home")
    assert slider.get_attribute("aria-valuetext") == "0%"
    assert "no errors at all" in found.inner_text()
    assert page.get_by_role("button", name="Use this threshold").is_disabled()
    slider.press("End")
    last = found.locator(".answer").inner_text()
    assert "answers 100% of the questions" in found.inner_text()
    assert number(last) <= number(threshold)
    page.get_by_role("button", name="Use this threshold").click()
    page.get_by_text("Settings", exact=True).click()
    field = page.locator("#main .view:visible").get_by_label("Threshold", exact=True)
    assert field.is_enabled()
    assert float(field.input_value()) == pytest.approx(number(last), abs=0.005)


def number(text: str) -> float:
    found = re.search(r"\d\.\d+", text)
    assert found is not None
    return float(found[0])


def test_without_runs_it_is_told_how_to_make_one(
    site: Site, open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    server = site()
    monkeypatch.setenv("ET_AGENT_RUNS", str(tmp_path / "none.sqlite"))
    page = open_page(server, "#risk")
    page.get_by_text("make one with et-agent eval run").wait_for()
    assert not (tmp_path / "none.sqlite").exists()


def test_decisions_and_drift_are_shown(site: Site, open_page: Open) -> None:
    server = site()
    page = open_page(server)
    gate_on(page, at="0.2")
    for turn in (1, 2):
        ask(page)
        answered(page, turn)
        page.get_by_role("button", name="Wrong").nth(turn - 1).click()
        page.get_by_text("of yours").nth(turn - 1).wait_for()
    page.get_by_role("link", name="Decisions").click()
    page.get_by_role("region", name="2 decisions").wait_for()
    log = page.get_by_role("table", name="Decisions, the latest first")
    assert log.get_by_role("row").count() == 3
    assert [cells(row)[5] for row in log.get_by_role("row").all()[1:]] == ["wrong", "wrong"]
    assert "2 of 2 labelled" in page.get_by_role("table", name="Report").inner_text()
    drift = page.get_by_role("region", name="Drift")
    assert "The labels do not speak against the confidence." in drift.inner_text()
    assert "after each of 2 labels" in (drift.get_by_role("img").get_attribute("aria-label") or "")


def test_a_server_without_a_log_says_how_to_keep_one(site: Site, open_page: Open) -> None:
    page = open_page(site(decisions=None), "#decisions")
    page.get_by_text("--log FILE").wait_for()


def test_the_page_asks_for_the_key(site: Site, open_page: Open) -> None:
    server = site(api_keys=(KEY,))
    page = open_page(server, expected="status of 401")
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    for text in ("not-the-key", KEY):
        page.get_by_label("Key", exact=True).fill(text)
        page.get_by_role("button", name="Use it").click()
        if text != KEY:
            page.get_by_text("The key was refused.").wait_for()
    ask(page)
    answered(page)
    assert not dialog.is_visible()
    page.reload()
    page.locator(".turn").wait_for()  # the tab keeps the key
    assert page.evaluate("localStorage.length") == 0
    assert KEY not in page.content()


def test_model_text_is_text(site: Site, open_page: Open) -> None:
    page = open_page(site(slow({"<img src=x onerror=alert(1)> \\boxed{<b>1</b>}": 1.0})))
    ask(page, "<script>alert(2)</script>")
    page.locator(".live .words").first.wait_for()
    assert page.locator("main img, main script, main b b").count() == 0
    assert "<img src=x" in page.locator(".said").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_all_views_fit_and_nothing_is_inaccessible(
    scheme: Any, width: int, site: Site, open_page: Open
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = open_page(site(), viewport={"width": width, "height": 800}, color_scheme=scheme)

    def check(where: str) -> None:
        assert page.evaluate("document.documentElement.scrollWidth") <= width, where
        found = axe.Axe().run(page).response["violations"]
        wrong = [(one["id"], node["target"]) for one in found for node in one["nodes"]]
        assert wrong == [], where

    page.locator("h1").first.wait_for()
    check("empty")
    gate_on(page)
    ask(page)
    page.locator(".live .map").wait_for()
    check("growing")
    answered(page)
    check("answered")
    page.get_by_role("button", name="Right").click()
    page.get_by_text("of yours").wait_for()
    page.get_by_role("link", name="Compare").click()
    page.locator("#compared").fill(QUESTION)
    page.get_by_role("button", name="Ask both").click()
    page.get_by_role("region", name="Side by side").wait_for()
    check("compared")
    page.get_by_role("link", name="Risk").click()
    page.get_by_label("Target error").wait_for()
    check("risk")
    page.get_by_role("link", name="Decisions").click()
    page.get_by_role("region", name="Drift").wait_for()
    check("decisions")


def test_views_are_reached_by_keyboard(site: Site, open_page: Open) -> None:
    page = open_page(site())
    page.get_by_role("heading", name="Ask").wait_for()
    for name, title in (("Compare", "Compare"), ("Risk", "Risk and coverage")):
        page.get_by_role("link", name=name).focus()
        page.keyboard.press("Enter")
        page.get_by_role("heading", name=title, exact=True).wait_for()
        assert page.get_by_role("link", name=name).get_attribute("aria-current") == "page"
        assert title in page.title()
    page.go_back()
    assert until(lambda: "Compare" in page.title())
