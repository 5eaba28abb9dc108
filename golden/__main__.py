"""Command line of the software side: ``python -m golden <command>``.

Each command lives in a module of its own in :mod:`golden.commands` and is listed here.
"""

from golden.errors import reporting_errors

with reporting_errors():  # imports take long enough to be interrupted
    from golden.cli import application, run
    from golden.commands.accuracy import accuracy
    from golden.commands.graph import graph
    from golden.commands.train import train

    app = application("Train, measure and look into the models that Weft turns into hardware.")
    for command in (train, accuracy, graph):
        app.command()(command)

    if __name__ == "__main__":
        run(app, "python -m golden")
