"""golden/checked.py: what options take, and the sentence about everything else."""

from pathlib import Path

import pytest
import typer

from golden import checked

WHOLE = checked.whole(least=2, most=9, help="").parser
LEAST = checked.whole(least=0, help="").parser
NUMBER = checked.number(expected="a temperature", help="").parser
CHOICE = checked.choice(of=("red", "blue"), help="").parser
FILE = checked.file(ends=(".png", ".svg"), help="").parser
ANY_FILE = checked.file(help="").parser


@pytest.mark.parametrize(
    ("parse", "given", "value"),
    [
        (WHOLE, "2", 2),
        (WHOLE, " 9 ", 9),
        (WHOLE, 7, 7),
        (LEAST, "+0", 0),
        (LEAST, "9" * 18, 10**18 - 1),
        (NUMBER, "1e-3", 0.001),
        (CHOICE, "blue", "blue"),
        (FILE, "a.PNG", Path("a.PNG")),
        (ANY_FILE, "a", Path("a")),
    ],
)
def test_taken(parse, given, value):
    assert parse(given) == value


@pytest.mark.parametrize(
    ("parse", "given", "sentence"),
    [
        (WHOLE, "1", "is 1; expected a whole number from 2 to 9"),
        (WHOLE, "10", "is 10; expected a whole number from 2 to 9"),
        (WHOLE, "2.0", "is '2.0'; expected a whole number from 2 to 9"),
        (WHOLE, "", "is empty; expected a whole number from 2 to 9"),
        (LEAST, "-1", "is -1; expected a whole number of at least 0"),
        (LEAST, "9" * 19, f"is '{'9' * 19}'; expected a whole number of at least 0"),
        (NUMBER, "warm", "is 'warm'; expected a temperature"),
        (CHOICE, "green", "is 'green'; expected one of red, blue"),
        (CHOICE, " ", "is empty; expected one of red, blue"),
        (FILE, "a.gif", "is 'a.gif'; expected the name of a file that ends in .png or .svg"),
        (FILE, "", "is empty; expected the name of a file that ends in .png or .svg"),
        (ANY_FILE, "", "is empty; expected the name of a file"),
    ],
)
def test_refused(parse, given, sentence):
    with pytest.raises(typer.BadParameter) as told:
        parse(given)
    assert told.value.message == sentence


def test_help_shows_what_is_taken():
    assert checked.whole(least=2, most=9, help="").metavar == "2..9"
    assert checked.whole(least=2, help="").metavar == "2.."
    assert checked.choice(of=("red", "blue"), help="").metavar == "red|blue"
