"""Every reader on rows made up in the original formats, damaged ones included."""

import csv
import json
from pathlib import Path

import pytest

from et_agent.answers import AnswerKind
from et_agent.errors import DataError
from et_agent.evaluation.datasets import DATASETS, load_items
from et_agent.evaluation.grading import gold_answers
from et_agent.evaluation.items import Item


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ET_AGENT_DATA", str(tmp_path))
    return tmp_path


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".json":
        path.write_text(json.dumps(content))
    elif path.suffix == ".jsonl":
        assert isinstance(content, list)
        path.write_text("".join(json.dumps(row) + "\n" for row in content))
    else:
        assert isinstance(content, list)
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(content)


def svamp(number: int, **other: object) -> dict[str, object]:
    row = {"ID": f"chal-{number}", "Body": "Dan had $ 3 left", "Question": "How many?"}
    return {**row, "Equation": "( 4.0 - 3.0 )", "Answer": 1.0, "Type": "Subtraction", **other}


def test_svamp_is_divided_once_and_for_all(folder: Path) -> None:
    write(folder / "svamp/SVAMP.json", [svamp(number) for number in range(400)])
    test, train = load_items("svamp"), load_items("svamp:train")
    assert (len(test), len(train)) == (300, 100)
    assert not {item.id for item in test} & {item.id for item in train}
    one = test[0]
    assert one.question == "Dan had $ 3 left, How many?"
    assert (one.kind, one.golds, one.subject) == (AnswerKind.NUMBER, ("1.0",), "Subtraction")


def test_a_body_that_ends_gets_no_comma(folder: Path) -> None:
    write(folder / "svamp/SVAMP.json", [svamp(1, Body="Dan had 3.")])
    assert load_items("svamp")[0].question == "Dan had 3. How many?"


def test_gsm8k(folder: Path) -> None:
    row = {"question": "How many?", "answer": "2*3 = <<2*3=6>>6\n#### 1,006"}
    write(folder / "gsm8k/test.jsonl", [row])
    (item,) = load_items("gsm8k")
    assert item == Item(
        id="gsm8k/test/1", question="How many?", kind=AnswerKind.NUMBER, golds=("1,006",)
    )
    assert gold_answers(item)[0].value == "1006"


def test_mathematics(folder: Path) -> None:
    row = {"problem": "What?", "solution": "", "answer": "\\frac{1}{2}", "subject": "Algebra"}
    write(folder / "math500/test.jsonl", [{**row, "level": 2, "unique_id": "test/a/1.json"}])
    (item,) = load_items("math500")
    assert (item.id, item.kind) == ("math500/test/a/1.json", AnswerKind.MATH)
    write(folder / "aime24/test.jsonl", [{"id": 60, "problem": "What?", "answer": "025"}])
    (item,) = load_items("aime24")
    assert (item.id, item.golds) == ("aime24/60", ("25",))


def test_scibench_numbers_units_and_powers(folder: Path) -> None:
    def row(number: str, unit: str) -> dict[str, str]:
        return {"problem_text": "What?", "answer_number": number, "unit": unit}

    rows = [
        row("+65.49", "$\\mathrm{kJ} \\mathrm{mol}^{-1}$"),
        row("\u22122", " "),
        row("89,034.79", " $"),
        row("4.5", "$10^{-3}$ m"),
    ]
    books = [file.path for file in DATASETS["scibench"].splits["test"]]
    for book in books:
        write(folder / book, rows[:1])
    write(folder / books[0], rows)
    items = load_items("scibench")[:4]
    assert [item.golds[0] for item in items] == ["65.49", "-2", "89034.79", "4.5e-3"]
    assert [item.tolerance for item in items] == [0.05] * 4
    assert items[0].question == "What? Give the answer in $\\mathrm{kJ} \\mathrm{mol}^{-1}$."
    assert items[1].question == "What?"
    assert items[2].question == "What? Give the answer in dollars."
    assert items[3].question == "What? Give the answer in m."
    for item in items:
        assert gold_answers(item)


def test_mmlu(folder: Path) -> None:
    for file in DATASETS["mmlu"].splits["dev"]:
        write(folder / file.path, [["Why,\nthen?", "one", "two", "three, four", "five", "C"]])
    items = load_items("mmlu:dev")
    assert len(items) == 57
    assert items[0].question == "Why,\nthen?\nA) one\nB) two\nC) three, four\nD) five"
    assert (items[0].golds, items[0].kind) == (("C",), AnswerKind.CHOICE)
    assert len({item.id for item in items}) == 57
    assert items[0].subject == "abstract_algebra"


def gpqa_rows(count: int) -> list[list[str]]:
    header = ["Record ID", "Question", "Correct Answer"]
    header += [f"Incorrect Answer {number}" for number in (1, 2, 3)]
    return [header, *([f"r{n}", f"Q{n}?", "yes", "no", "never", "perhaps"] for n in range(count))]


def test_gpqa_choices_are_shuffled_the_same_way_every_time(folder: Path) -> None:
    write(folder / "gpqa/gpqa_main.csv", gpqa_rows(40))
    items = load_items("gpqa-main")
    assert items == load_items("gpqa-main")
    letters = [item.golds[0] for item in items]
    assert set(letters) == set("ABCD")
    for item, letter in zip(items, letters, strict=True):
        assert f"{letter}) yes" in item.question


def test_nq_open(folder: Path) -> None:
    rows = [{"question": f"who won {n}", "answer": ["A", "B", "A"]} for n in range(1600)]
    write(folder / "nq_open/NQ-open.dev.jsonl", rows)
    items = load_items("nq-open")
    assert (len(items), len(load_items("nq-open:train"))) == (1500, 100)
    assert items[0].question.endswith("?")
    assert (items[0].golds, items[0].kind) == (("A", "B"), AnswerKind.TEXT)


@pytest.mark.parametrize(
    ("path", "rows", "said"),
    [
        (
            "svamp/SVAMP.json",
            [svamp(1), svamp(2, Answer="one")],
            "line 2: 'Answer' is not a number",
        ),
        ("svamp/SVAMP.json", [{"ID": "x"}], "line 1: there is no field 'Body'"),
        ("svamp/SVAMP.json", [17], "line 1: there is no field 'Body'"),
        ("svamp/SVAMP.json", {"a": 1}, "does not contain a list"),
        ("gsm8k/test.jsonl", [{"question": "Q", "answer": "six"}], "no final answer after ####"),
        ("gsm8k/test.jsonl", [{"question": " ", "answer": "#### 6"}], "'question' is not a text"),
        ("nq_open/NQ-open.dev.jsonl", [{"question": "Q", "answer": []}], "not a list of texts"),
        ("aime25/test.jsonl", [{"id": 1, "problem": "Q", "answer": "x"}], "not an integer"),
        ("gpqa/gpqa_diamond.csv", [["Question"], ["Q", "more"]], "line 2: 2 values for 1 columns"),
    ],
)
def test_damaged_rows_are_told_with_file_and_line(
    folder: Path, path: str, rows: object, said: str
) -> None:
    write(folder / path, rows)
    names = {"svamp": "svamp", "gsm8k": "gsm8k", "nq_open": "nq-open", "aime25": "aime25"}
    name = names.get(path.partition("/")[0], "gpqa-diamond")
    with pytest.raises(DataError) as caught:
        load_items(name)
    assert said in str(caught.value)
    assert path in str(caught.value)


def test_files_that_are_no_such_thing(folder: Path) -> None:
    target = folder / "gsm8k" / "test.jsonl"
    target.parent.mkdir()
    target.write_text('{"question": "Q", "answer": "#### 1"}\nnonsense\n')
    with pytest.raises(DataError, match="line 2: this is not JSON"):
        load_items("gsm8k")
    target.write_text("[" * 100_000)
    with pytest.raises(DataError, match="line 1: this is not JSON"):
        load_items("gsm8k")
    target.write_text("")
    with pytest.raises(DataError, match="is empty"):
        load_items("gsm8k")
    target.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not UTF-8"):
        load_items("gsm8k")
    target.unlink()
    target.mkdir()
    (folder / "svamp").mkdir()
    (folder / "svamp" / "SVAMP.json").write_text("[")
    with pytest.raises(DataError, match="not valid JSON"):
        load_items("svamp")
    (folder / "svamp" / "SVAMP.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match="not valid JSON: it is nested too deeply"):
        load_items("svamp")


def test_names_that_are_no_data_set() -> None:
    with pytest.raises(DataError, match="choose one of svamp"):
        load_items("swamp")
    with pytest.raises(DataError, match="no split 'dev': choose one of test, train"):
        load_items("svamp:dev")
    with pytest.raises(DataError, match="there is no file"):
        load_items("/nowhere/questions.csv")
    with pytest.raises(DataError, match="password"):
        load_items("gpqa-main")
