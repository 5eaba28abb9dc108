import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden import zoo
from golden.errors import WeftError
from golden.tokenizer import BOS, CharacterTokenizer, WordTokenizer, tokenizer_for

LETTERS = "abcdefghijklmnopqrstuvwxyz"
characters = CharacterTokenizer((*LETTERS, BOS))
words = WordTokenizer(("one", "two", "three"))


@given(st.text(alphabet=LETTERS))
def test_characters_round_trip(text):
    ids = characters.encode(text)
    assert characters.decode(ids) == text == "".join(map(characters.piece, ids))
    assert characters.decode([26, *ids, 26]) == text


@given(st.lists(st.integers(0, 2)))
def test_words_round_trip(ids):
    assert words.encode(words.decode(ids)) == ids
    assert words.encode("".join(map(words.piece, ids))) == ids


@given(st.sets(st.characters(), min_size=1), st.data())
def test_any_characters_may_be_a_vocabulary(alphabet, data):
    tokenizer = CharacterTokenizer((*sorted(alphabet), BOS))
    text = data.draw(st.text(alphabet=sorted(alphabet)))
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_ids_and_marks():
    assert characters.encode("abz") == [0, 1, 25]
    assert characters.start == characters.stop == 26
    assert characters.piece(26) == "\n"
    assert characters.decode([26, 0, 26, 1, 26, 26]) == "a\nb"
    assert (words.start, words.stop) == (0, None)
    assert words.encode("three  one\n") == [2, 0]
    assert words.piece(1) == "two "


@pytest.mark.parametrize(
    ("tokenizer", "text", "sentence"),
    [
        (
            characters,
            "anNa",
            "the character 'N' in 'anNa' is not in the vocabulary; "
            "allowed are 'abcdefghijklmnopqrstuvwxyz'",
        ),
        (
            CharacterTokenizer((*map(chr, range(0x4E00, 0x4E00 + 1064)), "<BOS>")),
            "a",
            f"allowed are {''.join(map(chr, range(0x4E00, 0x4E40)))!r} and 1,000 more",
        ),
        (characters, "<BOS>", "the character '<'"),
        (words, "one four", "the word 'four' is not .* its 3 words, such as one, two, three"),
    ],
)
def test_unknown_text(tokenizer, text, sentence):
    with pytest.raises(WeftError, match=sentence):
        tokenizer.encode(text)


@pytest.mark.parametrize("tokenizer", [characters, words])
@pytest.mark.parametrize("token", [-1, 27])
def test_unknown_token(tokenizer, token):
    with pytest.raises(WeftError, match=f"token {token} is not in the vocabulary; expected 0 to"):
        tokenizer.piece(token)
    with pytest.raises(WeftError, match=f"token {token} is not"):
        tokenizer.decode([0, token, 0])


@pytest.mark.parametrize("vocabulary", [(), ("a", "b"), ("ab", BOS), (BOS, "a")])
def test_no_vocabulary_of_characters(vocabulary):
    with pytest.raises(WeftError, match="single characters, then <BOS>"):
        CharacterTokenizer(vocabulary)


@pytest.mark.parametrize("word", ["", "a b", " a"])
def test_no_vocabulary_of_words(word):
    with pytest.raises(WeftError, match="expected words without spaces"):
        WordTokenizer(("a", word))


def test_the_checkpoint_decides():
    assert isinstance(tokenizer_for(zoo.load("microgpt")), CharacterTokenizer)
    assert isinstance(tokenizer_for(zoo.load("ailang")), WordTokenizer)
