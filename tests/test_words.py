import pytest

from golden.words import counted, listed, plain, shortened, shown


@pytest.mark.parametrize(("number", "text"), [(0, "0 names"), (1, "1 name"), (1600, "1,600 names")])
def test_counted(number, text):
    assert counted(number, "name") == text


def test_lists_and_values_of_any_length():
    assert listed(["a", "b"]) == "a, b"
    assert listed({f"t{k}": k for k in range(1278)}) == "t0, t1, t2, t3, t4, t5 and 1,272 more"
    assert shortened("x" * 80) == "x" * 80
    assert shown("x" * 81) == repr("x" * 80) + "..."
    assert (shown("a'b"), shown(1.5), shown([1])) == ('"a\'b"', "1.5", "[1]")
    assert len(shown(list(range(1000)))) == 83


def test_what_cannot_be_printed():
    assert plain("é \t\x1b[0m\u2028") == "é \\t\\x1b[0m\\u2028"
