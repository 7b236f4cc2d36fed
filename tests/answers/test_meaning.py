"""Which answers to a question say the same, as far as their words tell."""

import time

import pytest

from et_agent.answers.meaning import same_meaning, tells_all_of

MONA_LISA = "Who painted the Mona Lisa?"
CAPITAL = "What is the capital of Australia?"
REVOLUTION = "When did the French Revolution begin?"
PRIME = "Is 7 a prime number?"
COLOURS = "What are the primary colours?"

SAME = [
    # short answers inside sentences
    (MONA_LISA, "Leonardo da Vinci", "The Mona Lisa was painted by Leonardo da Vinci"),
    (MONA_LISA, "Leonardo da Vinci", "Leonardo da Vinci painted the Mona Lisa"),
    (MONA_LISA, "Leonardo", "Leonardo da Vinci"),
    (
        MONA_LISA,
        "Leonardo da Vinci",
        "It was painted by the Italian artist Leonardo da Vinci in 1503",
    ),
    (CAPITAL, "Canberra", "The capital of Australia is Canberra."),
    (CAPITAL, "Canberra", "the capital is called Canberra"),
    (CAPITAL, "The capital of Australia is Canberra", "Australia's capital is Canberra"),
    ("Who killed Abel?", "Cain killed Abel", "Abel was killed by Cain"),
    ("What is the heart made of?", "The heart is made of muscle", "muscle"),
    (
        "Who wrote Hamlet?",
        "William Shakespeare",
        "Hamlet was written by William Shakespeare in 1600",
    ),
    ("Who wrote Hamlet?", "Shakespeare", "William Shakespeare"),
    ("Who wrote 50 shades of grey?", "E. L. James", "It was written by E.L. James"),
    ("Wer malte die Mona Lisa?", "Leonardo da Vinci", "Die Mona Lisa ist von Leonardo da Vinci"),
    ("What is it made of?", "muscles", "muscle"),
    ("Which mirror is in a car?", "rear view mirror", "rearview mirror"),
    # dates by what is asked for
    (REVOLUTION, "1789", "July 14, 1789"),
    (REVOLUTION, "1789", "The French Revolution began on 14 July 1789"),
    ("In what year did the war end?", "May 8, 1945", "September 2, 1945"),
    ("When did World War II end?", "1945", "July 14, 1945"),
    # yes and no
    (PRIME, "No", "No, 7 is not a prime number"),
    (PRIME, "Yes", "7 is a prime number"),
    (PRIME, "No", "7 is not a prime number"),
    # numbers
    ("How many seasons were made?", "3", "3 seasons of the glades were made"),
    ("How many legs has a spider?", "eight", "A spider has 8 legs"),
    ("How many people live there?", "12 million", "12,000,000 people"),
    ("How much does it cost?", "$5", "5 dollars"),
    ("How cold is it?", "-5 °C", "minus 5 °C"),
    # lists in another order
    (COLOURS, "Red, Green, Blue", "Red, Blue, Green"),
    (COLOURS, "red, yellow and blue", "The primary colours are blue, red and yellow"),
    # places within others
    ("Where is the stadium?", "Houston, Texas", "Houston"),
    ("Where was it filmed?", "Chicago, Illinois, USA", "It was filmed in Chicago"),
]
DIFFERENT = [
    (MONA_LISA, "Leonardo da Vinci", "Michelangelo"),
    (MONA_LISA, "Leonardo da Vinci", "The Mona Lisa was painted by Michelangelo"),
    (CAPITAL, "The capital of Australia is Canberra", "The capital of Australia is Sydney"),
    (REVOLUTION, "July 14, 1789", "May 5, 1789"),
    (REVOLUTION, "1789", "July 14, 1790"),
    ("On what date did it end?", "May 8, 1945", "September 2, 1945"),
    (PRIME, "Yes", "7 is not a prime number"),
    (PRIME, "Yes, 7 is a prime number", "No, 7 is not a prime number"),
    ("How many seasons were made?", "3", "4 seasons"),
    ("How many people live there?", "about 12 million people", "about 5 million"),
]
OPEN = [
    ("Who won, Ali or Frazier?", "Frazier won by decision", "Ali won by decision"),
    ("Which is longer, the Nile or the Amazon?", "The Nile is longer", "The Amazon is longer"),
    ("Who was president?", "John Adams", "John Quincy Adams"),
    ("The first society was?", "It was the Indian Association", "Indian Society Association"),
    ("Who led the revolt?", "Adams and Jefferson", "Adams"),
    ("List them in order of size", "Red, Green, Blue", "Red, Blue, Green"),
    ("Why did it fail?", "because the bridge was too weak", "it was not strong enough"),
    (CAPITAL, "Not Canberra", "Canberra"),
    # a sign, a limit or a unit makes another answer of the same words
    ("Which language?", "C", "C++"),
    ("Which language?", "C#", "C++"),
    ("What is the charge?", "Na+", "Na-"),
    ("What is the formula?", "x + 1", "x - 1"),
    ("What is the result?", "10^5", "105"),
    ("What is the result?", "10^-3", "10^3"),
    ("What is the result?", "1,5", "15"),
    ("What is the point?", "(3, 4)", "(4, 3)"),
    ("How many?", "more than 3", "3"),
    ("How many?", "not 3", "3"),
    ("How many?", "-3", "3"),
    ("Wie viele?", "mehr als 3", "3"),
    ("How many days?", "3", "3 weeks"),
    ("How much does it cost?", "$5", "5 cents"),
    ("How much does it cost?", "£5", "$5"),
    # near a date, or not on it
    ("When did the wall fall?", "not in 1989", "1989"),
    ("Wann fiel die Mauer?", "nach 1989", "1989"),
    ("¿Cuándo?", "antes de 1990", "después de 1990"),
    ("什么时候?", "1990年以前", "1990年"),
    ("Which event did he win?", "the Olympics in 1990", "the Olympics in 1994"),
    # who does something, and whom it is done to
    ("What happened between Cain and Abel?", "Cain killed Abel", "Abel killed Cain"),
    ("What happened between Cain and Abel?", "Cain killed Abel", "Cain was killed by Abel"),
    ("What was the result of England against France?", "England won", "France won"),
    ("Do cats like dogs?", "Cats like dogs", "Dogs like cats"),
    ("Did Rome hate Carthage?", "Rome was hated by Carthage", "Rome hated Carthage"),
    ("Does it lack iron?", "It lacks iron", "It has iron"),
    ("Who was the teacher of Plato?", "the teacher of Socrates", "Socrates"),
    ("Who was president before Lincoln?", "the president before Buchanan", "Buchanan"),
    ("Where does he go?", "to London", "from London"),
    # a choice, and parts in an order
    (CAPITAL, "Canberra or Sydney", "Canberra and Sydney"),
    ("Who scored, who assisted?", "Ali, Bob", "Bob, Ali"),
    ("Which teams won first and second?", "Lions, Bears", "Bears, Lions"),
]


@pytest.mark.parametrize(("question", "one", "other"), SAME)
def test_answers_that_say_the_same(question: str, one: str, other: str) -> None:
    assert same_meaning(one, other, question) is True
    assert same_meaning(other, one, question) is True


@pytest.mark.parametrize(("question", "one", "other"), DIFFERENT)
def test_answers_that_differ(question: str, one: str, other: str) -> None:
    assert same_meaning(one, other, question) is False
    assert same_meaning(other, one, question) is False


@pytest.mark.parametrize(("question", "one", "other"), OPEN)
def test_what_words_do_not_tell_is_not_joined(question: str, one: str, other: str) -> None:
    assert same_meaning(one, other, question) is not True
    assert same_meaning(other, one, question) is not True


@pytest.mark.parametrize(
    ("question", "answer", "accepted"),
    [
        (MONA_LISA, "The Mona Lisa was painted by Leonardo da Vinci", "Leonardo da Vinci"),
        (REVOLUTION, "The French Revolution began in 1789", "1789"),
        ("Where is the stadium?", "It is in Houston, Texas", "Houston"),
        ("How many seasons were made?", "three seasons", "3"),
        (PRIME, "Yes, 7 is a prime number", "yes"),
        (COLOURS, "blue, red and yellow", "red, yellow, blue"),
        ("What does it contain?", "double bonds", "double bond"),
    ],
)
def test_a_sentence_with_the_accepted_answer_is_right(
    question: str, answer: str, accepted: str
) -> None:
    assert tells_all_of(answer, accepted, question)


@pytest.mark.parametrize(
    ("question", "answer", "accepted"),
    [
        (MONA_LISA, "Leonardo da Vinci or Michelangelo", "Leonardo da Vinci"),
        (MONA_LISA, "Leonardo", "Leonardo da Vinci"),
        (MONA_LISA, "It was not painted by Leonardo da Vinci", "Leonardo da Vinci"),
        ("Who founded Islam?", "Muhammad Ali", "Muhammad"),
        ("Who was the ruler of England in 1616?", "James VI", "James I"),
        ("When is the last season?", "7 October 2019", "2019"),
        ("When did it become common?", "1980", "1980s"),
        ("When did it air?", "1970", "late 1970s"),
        ("When did the war start and end?", "It began in 1939 and ended in 1945", "1945"),
        ("Is aluminium a ferrous or non ferrous metal?", "ferrous", "non-ferrous"),
        ("How many episodes in series 7 are there?", "There are 6 episodes in series 7", "7"),
        ("How far is it?", "5 km", "5 m"),
        ("How many people live there?", "12 million", "12 billion"),
        ("Where will the games be?", "In Beijing, China, they are held in Tokyo, Japan", "Beijing"),
        ("Where are they?", "in the muscles, the heart and the legs", "the muscles"),
        ("Who invented it and in what year?", "It was invented by Gutenberg in 1605", "Gutenberg"),
        ("What do you call a person who officiates a wedding?", "wedding director", "officiant"),
        ("Who was defeated in the war?", "The war was won by the Swedes", "the Swedes"),
    ],
)
def test_an_answer_that_says_less_or_other_is_not(
    question: str, answer: str, accepted: str
) -> None:
    assert not tells_all_of(answer, accepted, question)


@pytest.mark.parametrize(
    "text",
    [
        "a" * 1_000_000,
        "was was by " * 90_000,
        "A B " * 400,
        ", and " * 300,
        "in 1999 " * 240,
        "is x by " * 240,
        "(" * 1900,
        "9" * 1900,
        "The " * 480,
    ],
    ids=lambda text: text[:8],
)
def test_long_and_hostile_answers_are_bounded(text: str) -> None:
    began = time.process_time()
    for question in (MONA_LISA, PRIME, COLOURS, REVOLUTION, "How many?", text[:2000]):
        assert same_meaning(text, "Canberra", question) is not True
        assert same_meaning(text, text + " x", question) in (None, False, True)
    assert time.process_time() - began < 3  # of this process: others may be at work
