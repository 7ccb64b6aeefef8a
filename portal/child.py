"""Becomes another program, after arranging that the program does not outlive its parent.

Run as a file, by itself: ``python -I -S child.py PARENT SIGNAL USER PROGRAM [ARGUMENT…]``. PARENT is the id of the
process that starts it, SIGNAL the number of the signal to receive when that parent is gone, USER the ``uid:gid`` to
change to, or ``-``.

Imports nothing of the product: it is started for every child, also as a user who may not read the product's files.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent(signal: int) -> None:
    """Have the kernel send ``signal`` to this process when its parent ends, however that happens. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0)


def main() -> None:
    parent, signal, user, *command = sys.argv[1:]
    if user != "-":  # a change of user clears the arrangement below, so it comes first
        uid, gid = map(int, user.split(":"))
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    die_with_parent(int(signal))
    if os.getppid() != int(parent):
        sys.exit("The process that started this one is gone.")
    try:
        os.execvp(command[0], command)  # noqa: S606  # becoming this program is what this file is for
    except OSError as error:
        sys.exit(f"{command[0]} could not be started: {error.strerror}.")


if __name__ == "__main__":
    main()
