"""What can go wrong with the forge itself.

Exception
 └─ ForgeError               the forge cannot do what it was told
     ├─ PortInUse            another process listens there
     ├─ NotLoopback          it was asked to listen where others could reach it
     ├─ BadTrouble           a trouble (or another order on the control API) is malformed
     └─ BadStateFile         the state file cannot be read or written
"""

import os


class ForgeError(Exception):
    """The forge cannot do what it was told; the message names the value and the remedy."""

    exit_code = 2


class PortInUse(ForgeError):
    """*host*:*port* is taken by another process."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            f"the forge cannot listen on {host}:{port}: the port is in use; "
            f"stop the process that holds it (`ss -ltnp 'sport = :{port}'` names it), or choose port 0 for a free one"
        )
        self.host = host
        self.port = port


class NotLoopback(ForgeError):
    """*host* is not this machine's own address; the forge has no security to be reached from elsewhere."""

    def __init__(self, host: str) -> None:
        super().__init__(f"the forge listens on loopback only, not on {host!r}; use 127.0.0.1, ::1 or localhost")
        self.host = host


class BadTrouble(ForgeError):
    """An order to the forge is malformed: the message names the field, its value and what is allowed."""


class BadStateFile(ForgeError):
    """The state file at *path* cannot be used; it was left as it is."""

    def __init__(self, path: str | os.PathLike[str], why: str) -> None:
        super().__init__(f"the forge's state file {os.fspath(path)} cannot be used: {why}")
        self.path = os.fspath(path)
