"""A way to a server that breaks at a chosen moment."""

import socket
import threading
from contextlib import suppress
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

Moment = Literal["before the server hears", "before the answer"]

#: How an answer of the server ends: it is ready for the next question, outside or inside a transaction.
_ENDS = (b"Z\0\0\0\5I", b"Z\0\0\0\5T", b"Z\0\0\0\5E")


class CutWay:
    """Forwards to the server of *url*; :meth:`cut` breaks the first connection that says what is waited for."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.url = urlunsplit(parts._replace(netloc=f"postgres@127.0.0.1:{port}"))
        self.cuts = 0
        self._lock = threading.Lock()
        self._marks: list[bytes] = []
        self._moment: Moment = "before the answer"
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, *marks: bytes, moment: Moment) -> None:
        """Break a connection once, when it says the last of *marks* after the others."""
        with self._lock:
            self._marks, self._moment = list(marks), moment

    def close(self) -> None:
        """Break everything."""
        self._listener.close()
        for each in self._sockets:
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._sockets += [client, server]
                threading.Thread(target=self._serve, args=(client, server), daemon=True).start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        silent = threading.Event()
        threading.Thread(target=self._answer, args=(client, server, silent), daemon=True).start()
        with suppress(OSError):
            while data := client.recv(1 << 20):
                moment = self._struck(data)
                if moment == "before the server hears":
                    break
                if moment == "before the answer":
                    silent.set()
                server.sendall(data)  # all that is said: then the answer ends it
        _end(client, server)

    def _answer(self, client: socket.socket, server: socket.socket, silent: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 20):
                if not silent.is_set():
                    client.sendall(data)
                elif data.endswith(_ENDS):
                    break
        _end(client, server)

    def _struck(self, data: bytes) -> Moment | None:
        with self._lock:
            while self._marks and self._marks[0] in data:
                self._marks.pop(0)
                if not self._marks:
                    self.cuts += 1
                    return self._moment
        return None


def _end(*sockets: socket.socket) -> None:
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
