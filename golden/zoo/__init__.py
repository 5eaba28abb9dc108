"""Models by name: each preset ends in one validated :class:`~golden.model.Checkpoint`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from golden.errors import WeftError
from golden.model import Checkpoint
from golden.words import shown
from golden.zoo import ailang, microgpt, smollm2, stories15m


@dataclass(frozen=True)
class Preset:
    """A model that can be asked for by name.

    Members
    -------
    loader : callable
        From the path of a checkpoint file, or ``None`` for the preset's own weights.
    description : str
        One line for people.
    """

    loader: Callable[[Path | None], Checkpoint]
    description: str


PRESETS: dict[str, Preset] = {
    "microgpt": Preset(microgpt.load, "invents names; 4,192 parameters, trained here"),
    "ailang": Preset(ailang.load, "1,000 made-up words, 4-slot sliding window, random weights"),
    "stories15m": Preset(stories15m.load, "TinyStories 15M of llama2.c, 15.2 M parameters"),
    "smollm2": Preset(smollm2.load, "SmolLM2-135M-Instruct, 134.5 M parameters"),
}


def load(model: str, checkpoint: Path | None = None) -> Checkpoint:
    """Load a preset with its own weights, or with those of a checkpoint file.

    Raises
    ------
    WeftError
        If there is no preset of that name, or the file does not hold such a model.
    """
    if model not in PRESETS:
        raise WeftError(f"the model {shown(model)} is unknown; known are {', '.join(PRESETS)}")
    return PRESETS[model].loader(checkpoint)
