"""Real TLS failures on loopback: a refused certificate is permanent, a failed handshake is the way there."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from longrun import Category, Failure, classify


@contextmanager
def server(context: ssl.SSLContext | None) -> Iterator[int]:
    """A server for one connection: TLS with *context*, or one that does not speak TLS at all."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _address = listening.accept()
            with connection:
                try:
                    if context is None:
                        connection.recv(1024)
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    else:
                        context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    return  # the client hung up, which is what is tested

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            thread.join(10)


def connect(port: int) -> None:
    """Connect as a careful client does."""
    context = ssl.create_default_context()
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost"),
    ):
        pass


def test_an_untrusted_certificate_is_permanent() -> None:
    """Trying again does not make it trusted. The key beside this file was made for it and protects nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).with_name("untrusted.pem"))

    with server(context) as port, pytest.raises(ssl.SSLCertVerificationError) as caught:
        connect(port)

    assert classify(caught.value) == Failure(Category.PERMANENT)


def test_a_server_that_does_not_speak_tls_is_node() -> None:
    """The handshake failed; a proxy that restarts does the same."""
    with server(None) as port, pytest.raises(ssl.SSLError) as caught:
        connect(port)

    assert classify(caught.value) == Failure(Category.NODE)


def test_a_refused_connection_is_node() -> None:
    """Nobody listens there."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

    with pytest.raises(ConnectionRefusedError) as caught:
        connect(port)

    assert classify(caught.value) == Failure(Category.NODE)
