"""What the command lines of Weft have in common: how they look and how they fail."""

import os
import sys
from pathlib import Path

import typer

from golden.errors import OptionError, WeftError, reporting_errors

FROM_MAKE = "WEFT_MAKE"
"""Variable in which ``make`` names its target and the options that the target takes."""

PICTURES = Path("build/cache/matplotlib")
"""Matplotlib's font cache: in the home folder it would need one that can be written, and settings
found there would change the pictures."""


def application(summary: str) -> typer.Typer:
    """An empty command line whose ``--help`` begins with ``summary``.

    Commands are added with ``app.command()``. The callback keeps a command line that has a single
    command from losing the command's name.
    """
    app = typer.Typer(
        add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, help=summary
    )
    app.callback()(lambda: None)
    return app


def run(app: typer.Typer, name: str, arguments: list[str] | None = None) -> None:
    """Run a command line called ``name``, and end the process with its exit status.

    Mistakes in options are reported as one sentence with status 2, like every other
    :class:`WeftError`. Without any argument the help is shown.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    os.environ.setdefault("MPLCONFIGDIR", str(PICTURES.absolute()))
    with reporting_errors():
        try:
            status = app(arguments or ["--help"], prog_name=name, standalone_mode=False)
        except SystemExit as ended:  # how click ends when the reader of stdout has gone
            raise BrokenPipeError from ended
        except OptionError as error:
            raise WeftError(f"{typed(error.option)} {error.problem}") from None
        except typer.TyperException as error:
            raise WeftError(_told(error, name)) from None
        if status:
            raise SystemExit(status)


def typed(option: str) -> str:
    """An option as the user gives it: ``WEIGHTS`` to make, ``--weights`` to a program."""
    plain = option.lstrip("-").replace("-", "_")
    if plain.upper() in os.environ.get(FROM_MAKE, "").split()[1:]:
        return plain.upper()
    return "--" + plain.replace("_", "-")


def _told(error: typer.TyperException, name: str) -> str:
    """What typer complains about, in one sentence."""
    if isinstance(error, typer.BadParameter) and error.param is not None:
        return f"{typed(error.param.opts[0])} {error.message or 'is missing; expected a value'}"
    context = getattr(error, "ctx", None)
    target = os.environ.get(FROM_MAKE, "").split()[:1]
    shown = f"{name if context is None else context.command_path} --help"
    if target:
        shown = f"make {target[0]} ARGS=--help"
    return f"{error.format_message().rstrip('.')}; `{shown}` lists what there is"
