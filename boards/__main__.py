"""Command line of the board side: ``python -m boards <command>``.

Each command lives in a module of its own in :mod:`boards.commands` and is listed here.
"""

from boards.commands.count import count
from golden.cli import application, run

app = application("Count what a chip needs for the gateware.")
app.command()(count)

if __name__ == "__main__":
    run(app, "python -m boards")
