"""What kind of failure an exception is: whether trying again may help.

An error that follows from the rows comes back with them. These are the errors that Python and the
libraries raise for what is computed: a wrong value, a missing column, a name that is not there. All
that comes from outside may pass: errors of the system but for those that say how things are (there
is no such file, nobody may read it), and classes that nobody here knows, such as those of a client
of some service.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

from stagepipe.errors import StagepipeError
from stagepipe.model import Cause

LASTING = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    NameError,
    NotImplementedError,
    RecursionError,
    StagepipeError,
    SyntaxError,
    TypeError,
    ValueError,
)
LASTING_OF_SYSTEM = (
    FileExistsError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)
LIBRARIES = ("polars", "pyarrow", "stagepipe")
BY_NUMBER = {
    errno.ENOSPC: Cause.DISK_FULL,
    errno.EDQUOT: Cause.DISK_FULL,
    errno.EMFILE: Cause.HANDLES,
    errno.ENFILE: Cause.HANDLES,
}
NUMBER = re.compile(r"\(os error (\d+)\)")
"""As polars has it, in the text alone."""


def cause_of(error: BaseException) -> Cause:
    """Why an attempt failed that ended with this error."""
    chain = list(_chain(error))
    for each in chain:
        if isinstance(each, OSError) and (cause := BY_NUMBER.get(_number(each))) is not None:
            return cause
    if any(isinstance(each, MemoryError) for each in chain):
        return Cause.MEMORY
    root = chain[-1]
    if not isinstance(root, Exception) or isinstance(root, LASTING):
        return Cause.ERROR
    if isinstance(root, OSError):
        return Cause.PASSING if may_pass(root) else Cause.ERROR
    is_of_library = type(root).__module__.partition(".")[0] in LIBRARIES
    return Cause.ERROR if is_of_library else Cause.PASSING


def may_pass(error: BaseException) -> bool:
    """Whether it is an error of the system that may be gone the next time."""
    return isinstance(error, OSError) and not isinstance(error, LASTING_OF_SYSTEM)


def _number(error: OSError) -> int:
    """What the system calls the error; 0 where it does not say."""
    found = NUMBER.search(str(error))
    return error.errno or (int(found[1]) if found else 0)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and those that it was raised from."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__
