"""A door to a server on loopback that can be shut: what comes then is refused, and what was under way is cut off."""

import socket
import threading
from contextlib import suppress


class Door:
    def __init__(self, port: int) -> None:
        self.behind = port
        self.open: list[socket.socket] = []
        self.listener: socket.socket | None = None
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.port = server.getsockname()[1]
        self.unlock()

    def unlock(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._serve, args=(self.listener,), daemon=True).start()

    def shut(self) -> None:
        assert self.listener is not None
        for each in (self.listener, *self.open):
            with suppress(OSError):  # the other side may have closed it
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self.open.clear()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                here, _ = listener.accept()
            except OSError:
                return  # shut
            there = socket.create_connection(("127.0.0.1", self.behind))
            self.open += [here, there]
            for pair in ((here, there), (there, here)):
                threading.Thread(target=_pass_on, args=pair, daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):  # shut, or one side has gone
        while piece := source.recv(2**16):
            sink.sendall(piece)
    for each in (source, sink):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
