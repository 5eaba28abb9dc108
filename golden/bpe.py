"""Tokenizers of pairs of bytes (BPE), by the library with which such models are trained."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

from golden.chat_template import ChatTemplate
from golden.errors import WeftError
from golden.tokenizer import PART
from golden.words import shown

PIECES = {
    "gpt-2": lambda: pre_tokenizers.ByteLevel(add_prefix_space=False),
    "smollm": lambda: pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    ),
}
"""How a text is split before pairs are merged, by the names that model files use."""

BYTE = re.compile("<0x[0-9A-Fa-f]{2}>")
"""A byte of what no other piece covers."""


class BytePairTokenizer:
    """A tokenizer of the ``tokenizers`` library behind the interface of Weft's own.

    Parameters
    ----------
    library : tokenizers.Tokenizer
        Does the work.
    start : int
        The token that a sequence may start with. :meth:`encode` does not add it.
    stop : int or None
        The token with which the model ends its text.
    prefix : str
        What the library puts before every text; :meth:`decode` takes it away.
    unused : int
        Ids below it that the library does not know are tokens without a text.

    Members
    -------
    ends : tuple of int
        Tokens with which the model may end what it says: ``stop``, and others that its file names.
    opens : bool
        Whether a text that the model goes on from begins with ``start``.
    template : ChatTemplate or None
        How conversations are written.
    marks : dict of str to int
        Names and ids of special tokens.
    """

    def __init__(
        self, library: Tokenizer, start: int, stop: int | None, prefix: str = "", unused: int = 0
    ):
        self.start, self.stop = start, stop
        self.ends = () if stop is None else (stop,)
        self.opens = True
        self.template: ChatTemplate | None = None
        added = library.get_added_tokens_decoder().items()
        self.marks = {mark.content: token for token, mark in added if mark.content.strip()}
        self._known = set(library.get_vocab(with_added_tokens=True).values())
        self._count = max(unused, max(self._known, default=-1) + 1)
        self._library, self._prefix = library, prefix
        self._before = self._whole_token()

    def encode(self, text: str) -> list[int]:
        """Ids of a text; names of special tokens in it become these tokens.

        Raises
        ------
        WeftError
            If the text cannot be written in UTF-8.
        """
        if any(0xD800 <= ord(character) < 0xE000 for character in text):
            raise WeftError(f"the text {shown(text)} is not UTF-8; expected whole characters")
        return self._library.encode(text, add_special_tokens=False).ids

    def words(self, text: str) -> list[int]:
        """As :meth:`encode`, but a name of a special token in the text is text."""
        self._library.encode_special_tokens = True
        try:
            return self.encode(text)
        finally:
            self._library.encode_special_tokens = False

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, special tokens included; what is no UTF-8 shows as U+FFFD."""
        return self._text(ids).removeprefix(self._prefix)

    def piece(self, *tokens: int) -> str:
        """The text of tokens that follow others; a part of a character shows as U+FFFD.

        It is what they add to another: some libraries drop the space that begins a text.
        """
        return self._text([*self._before, *tokens]).removeprefix(self._text(self._before))

    def begin(self, *tokens: int) -> str:
        """The text of tokens that begin one, without what the library puts before every text."""
        return self.decode(tokens)

    def _whole_token(self) -> list[int]:
        """A token that others can follow: no byte, which they might make a character with."""
        for token in sorted(self._known):
            text = self._text([token])
            if text and PART not in text and not BYTE.fullmatch(self._library.id_to_token(token)):
                return [token]
        return []

    def _text(self, ids: Iterable[int]) -> str:
        known = [token for token in map(self._check, ids) if token in self._known]
        return self._library.decode(known, skip_special_tokens=False)

    def _check(self, token: int) -> int:
        if not 0 <= token < self._count:
            expected = f"expected 0 to {self._count - 1}"
            raise WeftError(f"token {token} is not in the vocabulary; {expected}")
        return int(token)


def byte_level(
    pieces: Sequence[str],
    merges: list[tuple[str, str]],
    special: Sequence[str],
    split: str,
    start: int,
    stop: int | None,
) -> BytePairTokenizer:
    """BPE over bytes (Radford et al. 2019), each byte shown as a printable character.

    Parameters
    ----------
    pieces : sequence of str
        By id.
    merges : list of pairs
        The first is tried first.
    special : sequence of str
        Pieces that are looked for in the text as a whole.
    split : str
        One of ``PIECES``.
    start, stop : int or None
        As in :class:`BytePairTokenizer`.

    Raises
    ------
    WeftError
        If pieces repeat, or a merge names a piece that is not there.
    """
    vocabulary = _ids(pieces)
    for pair in merges:
        for piece in (*pair, "".join(pair)):
            if piece not in vocabulary:
                raise WeftError(f"the tokenizer merges {pair}, but {piece!r} is none of its pieces")
    library = Tokenizer(models.BPE(vocabulary, merges))
    library.pre_tokenizer = PIECES[split]()
    library.decoder = decoders.ByteLevel()
    library.add_special_tokens([AddedToken(piece, normalized=False) for piece in special])
    return BytePairTokenizer(library, start, stop)


def by_score(
    pieces: Sequence[str],
    scores: Sequence[float],
    normal: Sequence[int],
    special: Sequence[str],
    space: str,
    prefix: bool,
    start: int,
    stop: int | None,
) -> BytePairTokenizer:
    """BPE over characters (SentencePiece, Kudo and Richardson 2018): the best score merges first.

    Parameters
    ----------
    pieces, scores : sequences
        By id; piece 0 is the unknown one, and ``<0xNN>`` is a byte of what no piece covers.
    normal : sequence of int
        Ids of the pieces that merging may make.
    special : sequence of str
        Pieces that are looked for in the text as a whole.
    space : str
        How pieces write a space.
    prefix : bool
        Whether a space is put before every text.
    start, stop : int or None
        As in :class:`BytePairTokenizer`.

    Raises
    ------
    WeftError
        If pieces repeat.
    """
    vocabulary = _ids(pieces)
    known = {pieces[token]: token for token in normal}
    merges = []
    for token in sorted(normal, key=lambda token: -scores[token]):
        cuts = ((pieces[token][:i], pieces[token][i:]) for i in range(1, len(pieces[token])))
        pairs = [pair for pair in cuts if pair[0] in known and pair[1] in known]
        merges += sorted(pairs, key=lambda pair: (known[pair[0]], known[pair[1]]))
    library = Tokenizer(
        models.BPE(vocabulary, merges, unk_token=pieces[0], fuse_unk=True, byte_fallback=True)
    )
    before = [normalizers.Prepend(" ")] if prefix else []
    library.normalizer = normalizers.Sequence([*before, normalizers.Replace(" ", space)])
    library.decoder = decoders.Sequence(
        [decoders.Replace(space, " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    library.add_special_tokens([AddedToken(piece, normalized=False) for piece in special])
    return BytePairTokenizer(library, start, stop, " " if prefix else "")


def _ids(pieces: Sequence[str]) -> dict[str, int]:
    ids = {piece: token for token, piece in enumerate(pieces)}
    if len(ids) != len(pieces):
        raise WeftError("the tokenizer lists a piece twice; expected distinct pieces")
    return ids
