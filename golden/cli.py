"""What the command lines of Weft have in common: how they look and how they fail."""

import sys

import typer

from golden.errors import WeftError, reporting_errors


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
    with reporting_errors():
        try:
            status = app(arguments or ["--help"], prog_name=name, standalone_mode=False)
        except SystemExit as ended:  # how click ends when the reader of stdout has gone
            raise BrokenPipeError from ended
        except typer.TyperException as error:
            sentence = error.format_message().rstrip(".")
            raise WeftError(f"{sentence}; `{name} --help` lists what there is") from None
        if status:
            raise SystemExit(status)
