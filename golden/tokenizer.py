"""Text to token ids and back: characters for models of names, words for models of word lists."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from golden.errors import WeftError
from golden.model import Checkpoint
from golden.words import shown

BOS = "<BOS>"
"""How a vocabulary lists the token that stands at the beginning and at the end of each text."""

PART = "\ufffd"
"""How a part of a character shows."""

SHOWN = 64
"""Characters of a vocabulary that a message lists, at most."""


class Tokenizer(Protocol):
    """What every tokenizer offers.

    Members
    -------
    start : int
        The token that a sequence starts with. :meth:`encode` does not add it.
    stop : int or None
        The token with which a model ends its text, or ``None`` if it never does.
    ends : tuple of int
        Tokens with which it may end what it says: ``stop``, if there is one, and maybe others.
    opens : bool
        Whether a text that the model goes on from begins with ``start``, as all others do.
    """

    start: int
    stop: int | None
    ends: tuple[int, ...]
    opens: bool

    def encode(self, text: str) -> list[int]:
        """Ids of a text; a WeftError names what the vocabulary does not have."""

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; inverse of :meth:`encode`."""

    def piece(self, token: int) -> str:
        """What to print when ``token`` appears, for text that is shown while it grows.

        A tokenizer of parts of characters takes several tokens.
        """

    def begin(self, token: int) -> str:
        """As :meth:`piece`, for what begins a text."""


class _Vocabulary:
    """Pieces by id and ids by piece, shared by the tokenizers."""

    opens = True
    stop: int | None = None

    def __init__(self, vocabulary: Sequence[str]):
        self._text = tuple(vocabulary)
        self._id = {text: token for token, text in enumerate(self._text)}

    @property
    def ends(self) -> tuple[int, ...]:
        """``stop``, if there is one."""
        return () if self.stop is None else (self.stop,)

    def _check(self, token: int) -> int:
        if not 0 <= token < len(self._text):
            raise WeftError(
                f"token {token} is not in the vocabulary; expected 0 to {len(self._text) - 1}"
            )
        return token

    def begin(self, token: int) -> str:
        """As ``piece``: these texts begin with nothing of their own."""
        return self.piece(token)


class CharacterTokenizer(_Vocabulary):
    """One token a character, and BOS as the last id.

    Parameters
    ----------
    vocabulary : sequence of str
        The characters in the order of their ids, then ``"<BOS>"``.

    Raises
    ------
    WeftError
        If the vocabulary is not of that form.
    """

    def __init__(self, vocabulary: Sequence[str]):
        if not is_character_vocabulary(vocabulary):
            raise WeftError(f"a vocabulary of characters lists single characters, then {BOS}")
        super().__init__(vocabulary)
        self.start = self.stop = len(self._text) - 1

    def encode(self, text: str) -> list[int]:
        """Ids of the characters of ``text``; a WeftError names one that the model cannot read."""
        for character in text:
            if character not in self._id:
                raise WeftError(
                    f"the character {character!r} in {shown(text)} is not in the vocabulary; "
                    f"allowed are {self._allowed()}"
                )
        return [self._id[character] for character in text]

    def _allowed(self) -> str:
        """The characters, as far as a sentence has room for them."""
        first, left = self._text[:-1][:SHOWN], self.stop - SHOWN
        return repr("".join(first)) + (f" and {left:,} more" if left > 0 else "")

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ``ids``. BOS separates texts: it shows as a newline between two of them."""
        ids = list(ids)
        while ids and ids[0] == self.start:
            del ids[0]
        while ids and ids[-1] == self.stop:
            del ids[-1]
        return "".join(map(self.piece, ids))

    def piece(self, token: int) -> str:
        """The character, or a newline for BOS."""
        return "\n" if token == self.stop else self._text[self._check(token)]


class WordTokenizer(_Vocabulary):
    """One token a word; words are separated by white space. Sequences start with word 0.

    Parameters
    ----------
    vocabulary : sequence of str
        The words in the order of their ids.

    Raises
    ------
    WeftError
        If a word is empty or has white space in it.
    """

    start = 0

    def __init__(self, vocabulary: Sequence[str]):
        for word in vocabulary:
            if word.split() != [word]:
                raise WeftError(f"the vocabulary lists {word!r}; expected words without spaces")
        super().__init__(vocabulary)

    def encode(self, text: str) -> list[int]:
        """Ids of the words of ``text``; a WeftError names a word that the model does not know."""
        for word in text.split():
            if word not in self._id:
                examples = ", ".join(self._text[:3])
                raise WeftError(
                    f"the word {shown(word)} is not in the vocabulary; "
                    f"allowed are its {len(self._text)} words, such as {examples}"
                )
        return [self._id[word] for word in text.split()]

    def decode(self, ids: Iterable[int]) -> str:
        """The words of ``ids``, separated by spaces."""
        return " ".join(self._text[self._check(token)] for token in ids)

    def piece(self, token: int) -> str:
        """The word and a space."""
        return self._text[self._check(token)] + " "


def numbered(count: int) -> tuple[str, ...]:
    """A vocabulary for a model that comes without one: every token is the word of its id."""
    return tuple(map(str, range(count)))


def is_character_vocabulary(vocabulary: Sequence[str]) -> bool:
    """Whether a vocabulary is that of a model of characters: single ones, then ``"<BOS>"``."""
    return bool(vocabulary) and vocabulary[-1] == BOS and all(len(c) == 1 for c in vocabulary[:-1])


def tokenizer_for(checkpoint: Checkpoint) -> Tokenizer:
    """The tokenizer that a checkpoint brings along, or the one that fits its vocabulary."""
    if checkpoint.tokenizer is not None:
        return checkpoint.tokenizer
    if is_character_vocabulary(checkpoint.vocabulary):
        return CharacterTokenizer(checkpoint.vocabulary)
    return WordTokenizer(checkpoint.vocabulary)


def prompt_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """Ids of a text to go on from; one that is empty needs the start token in any case."""
    ids = tokenizer.encode(text)
    return [tokenizer.start, *ids] if tokenizer.opens or not ids else ids


def shown_ids(tokenizer: Tokenizer, prompt: Sequence[int]) -> Sequence[int]:
    """Those of a prompt's ids that its text made."""
    opened = prompt[0] == tokenizer.start and (tokenizer.opens or len(prompt) == 1)
    return prompt[1:] if opened else prompt
