"""Entry point of the set-up. Its syntax is old on purpose: an old Python must be able to say so."""

import sys

if sys.version_info < (3, 11):
    import os
    import shutil

    for minor in (11, 12, 13, 14):
        newer = shutil.which("python3.%d" % minor)
        if newer:
            os.execv(newer, [newer, "-m", "sim.setup"] + sys.argv[1:])  # noqa: RUF005
    sys.stderr.write(
        "weft: Python 3.11 or newer is needed and this is %d.%d; install it, or name one with "
        "`make PYTHON=/path/to/python3.11 ...`\n" % sys.version_info[:2]
    )
    sys.exit(2)

from sim.setup.main import main

sys.exit(main())
