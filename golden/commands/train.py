"""``python -m golden train``: from a list of names to a checkpoint."""

import math
import sys
from pathlib import Path
from typing import Annotated

from tqdm import tqdm

from golden import checked, data
from golden.backprop import ACTIVATIONS
from golden.cli import typed
from golden.commands import options
from golden.errors import OptionError, WeftError, check_writable, write_whole
from golden.model import Checkpoint
from golden.train import SEED, STEPS, TrainOptions, mean_loss
from golden.train import train as run_training
from golden.words import counted
from golden.zoo import microgpt

FOLDER = Path("build/train")
CARRIED = "microgpt"
"""What is made of the carried list: no other list's result lies there, whatever its folder."""

DEFAULT = TrainOptions()
LEARNING_RATES = "a positive number"


def train(
    data_file: Annotated[
        Path | None,
        checked.file(
            "--data", help="UTF-8 text, one name a line; the list in golden/data if none."
        ),
    ] = None,
    steps: Annotated[int, checked.whole(least=1, help="Steps, one name each.")] = STEPS,
    seed: options.Seed = SEED,
    output: Annotated[
        Path | None,
        checked.file(
            "--output",
            "--out",
            ends=(".safetensors",),
            help="Checkpoint; build/train/<list>.safetensors if none, "
            "for the list in golden/data microgpt.safetensors.",
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        checked.file(ends=(".png",), help="Loss curve; beside the checkpoint if none."),
    ] = None,
    hold_out: Annotated[
        int | None,
        checked.whole(
            least=0,
            help="Keep every n-th name from training; 0 keeps none. "
            f"{data.HOLD_OUT} for the list in golden/data, else 0, if not given",
        ),
    ] = None,
    n_layer: Annotated[int, checked.whole(least=1, help="Layers.")] = DEFAULT.n_layer,
    n_embd: Annotated[int, checked.whole(least=1, help="Width.")] = DEFAULT.n_embd,
    n_head: Annotated[int, checked.whole(least=1, help="Attention heads.")] = DEFAULT.n_head,
    d_ff: Annotated[
        int | None, checked.whole(least=1, help="Width of the MLP; 4 times n-embd if not given.")
    ] = None,
    block_size: Annotated[
        int, checked.whole(least=1, help="Longest name, in tokens.")
    ] = DEFAULT.block_size,
    activation: Annotated[
        str, checked.choice(of=ACTIVATIONS, help="Of the MLP.")
    ] = DEFAULT.activation,
    learning_rate: Annotated[
        float,
        checked.number(
            expected=LEARNING_RATES, help="At the first step; it falls linearly to zero."
        ),
    ] = DEFAULT.learning_rate,
) -> None:
    """Train a microGPT on names, as microGPT is trained; save its weights and its loss curve."""
    if not 0 < learning_rate < math.inf:
        raise OptionError("learning_rate", f"is {learning_rate:g}; expected {LEARNING_RATES}")
    if n_embd % n_head:
        told = f"is {n_head}; expected a divisor of {typed('n_embd')}, which is {n_embd}"
        raise OptionError("n_head", told)
    shape = TrainOptions(
        n_layer=n_layer,
        n_embd=n_embd,
        n_head=n_head,
        block_size=block_size,
        d_ff=d_ff,
        activation=activation,
        learning_rate=learning_rate,
    )
    source = data_file or data.NAMES
    output = output or FOLDER / f"{CARRIED if data_file is None else source.stem}.safetensors"
    picture = picture or output.parent / f"{output.stem}.png"
    _check_targets(source, output, picture)
    if hold_out is None:
        hold_out = data.HOLD_OUT if data_file is None else 0
    names = data.load_names(source)
    training, held_out = data.split(names, hold_out)
    # A character that only a name held out has is still part of the vocabulary.
    alphabet = "".join(sorted(set("".join(names))))
    shape.model(len(alphabet) + 1)  # refused before there is a progress bar
    _warn_of_cuts(names, block_size)
    checkpoint, losses = _train_with_progress(
        training, shape, seed, steps, name=source.stem, alphabet=alphabet
    )
    write_whole(output, microgpt.to_bytes(checkpoint, steps=str(steps), seed=str(seed)))
    _draw(picture, losses, checkpoint)
    _report(checkpoint, training, held_out, output, picture)


def _check_targets(source: Path, output: Path, picture: Path) -> None:
    """Find out before the work that its results can be kept, and destroy nothing."""
    if len({source.resolve(), output.resolve(), picture.resolve()}) < 3:
        raise WeftError(
            f"the data {source}, the checkpoint {output} and the picture {picture} must be "
            "different files; choose another name for the output"
        )
    for path in (output, picture):
        check_writable(path)


def _warn_of_cuts(names: list[str], block_size: int) -> None:
    """Say how many names lose their end: BOS, which starts every name, takes a place too."""
    cut = sum(len(name) >= block_size for name in names)
    if cut:
        longest = max(map(len, names))
        print(
            f"weft: warning: {counted(cut, 'name')} of {len(names):,} cut after "
            f"{counted(block_size, 'character')}; {typed('block_size')} {longest + 1} takes all",
            file=sys.stderr,
        )


def _train_with_progress(
    names: list[str], options: TrainOptions, seed: int, steps: int, **identity: str
) -> tuple[Checkpoint, list[float]]:
    losses: list[float] = []
    smoothed = None
    with tqdm(total=steps, unit="step", mininterval=0.2) as bar:

        def observe(step: int, loss: float) -> None:
            nonlocal smoothed
            smoothed = loss if smoothed is None else 0.99 * smoothed + 0.01 * loss
            losses.append(loss)
            bar.set_postfix_str(f"loss {smoothed:.3f}", refresh=False)
            bar.update()

        checkpoint = run_training(names, options, seed, steps, observe, **identity)
    return checkpoint, losses


def _draw(picture: Path, losses: list[float], checkpoint: Checkpoint) -> None:
    # Imported here: matplotlib takes longer to load than most commands take to run.
    from golden import loss_curve

    title = f"{checkpoint.name}: {checkpoint.config.parameters:,} parameters"
    write_whole(picture, lambda file: loss_curve.draw(file, losses, title))


def _report(
    checkpoint: Checkpoint, training: list[str], held_out: list[str], output: Path, picture: Path
) -> None:
    print(f"parameters     {checkpoint.config.parameters:,}")
    print(f"digest         {checkpoint.digest}")
    print(_loss_line("training loss", checkpoint, training))
    if held_out:
        print(_loss_line("held-out loss", checkpoint, held_out))
    print(f"checkpoint     {output}")
    print(f"loss curve     {picture}")


def _loss_line(label: str, checkpoint: Checkpoint, names: list[str]) -> str:
    loss = mean_loss(checkpoint, names)
    return f"{label}  {loss:.4f} nats a token over {counted(len(names), 'name')}"
