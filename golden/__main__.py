"""Command line of the software side: ``python -m golden <command>``.

Each command lives in a module of its own in :mod:`golden.commands` and is listed here.
"""

from golden.cli import application, run
from golden.commands.accuracy import accuracy
from golden.commands.graph import graph
from golden.commands.train import train

app = application("Train, measure and look into the models that Weft turns into hardware.")
app.command()(train)
app.command()(accuracy)
app.command()(graph)

if __name__ == "__main__":
    run(app, "python -m golden")
