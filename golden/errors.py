"""Errors meant for people, and the one way in which every command line reports them.

A person who makes a mistake reads one sentence that says what is wrong, where, what was expected
and what to do. A traceback is only ever seen for a defect of Weft itself.
"""

import errno
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from golden.words import plain

INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 plus the number of SIGINT, as shells report it."""

ENDING = (signal.SIGTERM, signal.SIGHUP)
"""Signals that ask a program to end."""


class WeftError(Exception):
    """Something that the user can put right, told in one sentence.

    Parameters
    ----------
    sentence : str
        It may hold names out of files: :meth:`told` makes them harmless.
    log : str
        Lines of a tool's log that follow the sentence.

    Members
    -------
    exit_status : int
        Status with which a command line ends when it reports this error. Subclasses may differ.
    """

    exit_status = 2

    def __init__(self, sentence: str, log: str = ""):
        super().__init__(sentence)
        self.log = log

    def __str__(self) -> str:
        return "\n".join(filter(None, (super().__str__(), self.log)))

    def told(self) -> str:
        """What people read: a sentence in one line, then the log."""
        return "\n".join(filter(None, (plain(super().__str__()), self.log)))


class OptionError(WeftError):
    """A value of an option that cannot be used; command lines name the option as it was typed.

    Members
    -------
    option : str
        Name of the option, a Python identifier.
    problem : str
        The rest of the sentence: ``is 0; expected at least 1``.
    """

    def __init__(self, option: str, problem: str):
        super().__init__(f"{option} {problem}")
        self.option, self.problem = option, problem


class Ended(BaseException):
    """A signal of ``ENDING`` arrived; like Ctrl-C it passes all that handles mere errors."""


@contextmanager
def reporting_errors() -> Iterator[None]:
    """Run the body of a command line; usable in a ``with`` statement and as a decorator.

    A :class:`WeftError` becomes ``weft: <sentence>`` on stderr and its exit status; Ctrl-C ends
    quietly with status 130, and so does a signal that asks to end, with 128 plus its number; both
    leave every ``with`` and ``finally`` on the way. A reader that went away (``... | head``) is no
    error at all.
    """
    try:
        with _ending_by_exception():
            yield
        sys.stdout.flush()
    except WeftError as error:
        print(f"weft: {error.told()}", file=sys.stderr)
        raise SystemExit(error.exit_status) from None
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except Ended as ended:
        raise SystemExit(128 + ended.args[0]) from None
    except BrokenPipeError:
        # The interpreter flushes stdout once more as it exits, and would complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print(
            "weft: no space is left where the output goes; make room and run again", file=sys.stderr
        )
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(WeftError.exit_status) from None


@contextmanager
def _ending_by_exception() -> Iterator[None]:
    """Let the signals of ``ENDING`` raise ``Ended``, so that nothing temporary is left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield  # no other thread may decide about signals
        return

    # A signal that is ignored (nohup) stays so.
    taken = [each for each in ENDING if signal.getsignal(each) is signal.SIG_DFL]

    def end(number: int, _) -> None:
        for each in taken:
            signal.signal(each, signal.SIG_IGN)  # a second one would interrupt the clearing up
        raise Ended(number)

    for each in taken:
        signal.signal(each, end)
    try:
        yield
    finally:
        for each in taken:
            signal.signal(each, signal.SIG_DFL)


def write_whole(path: str | os.PathLike, content: bytes | Callable[[BinaryIO], object]) -> None:
    """Write a file so that readers see either the old contents or the new ones, never a part.

    Parameters
    ----------
    path : path
        File to create or replace. Missing folders are created.
    content : bytes or callable
        The contents, or a function that writes them to the binary file that it is given.

    Raises
    ------
    WeftError
        If the folder cannot be written, naming the folder.
    """
    path = Path(path)
    make_folder_for(path)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise _unwritable(path, error) from None
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content)
        # mkstemp makes files private to the user; results are ordinary files.
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _unwritable(path, error) from None
        raise


def make_folder_for(path: str | os.PathLike) -> None:
    """Create the folder of a file that will be written, so that long work is not done in vain.

    Raises
    ------
    WeftError
        If the folder cannot be made or written, naming it.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from None
    if not os.access(path.parent, os.W_OK):
        raise _unwritable(path, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def check_writable(path: str | os.PathLike) -> None:
    """Find out before long work that its result can be written; nothing is left on the disk.

    Raises
    ------
    WeftError
        If ``path`` is no ordinary file, or no file can be made in its folder.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise WeftError(f"{path} is a folder; expected the name of a file to write")
        if path.exists() and not path.is_file():
            raise WeftError(f"{path} is no ordinary file; expected the name of a file to write")
        folder = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
        # Permission bits are not enough: not even root can write to /proc.
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=folder)
        os.close(handle)
        Path(name).unlink()
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> WeftError:
    return WeftError(
        f"cannot write {path.name} in the folder {path.parent}: {error.strerror or error}; "
        "choose a folder that can be written and has space left"
    )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
