"""A PostgreSQL client made of bytes, for what a proper one would never send."""

import base64
import hashlib
import hmac
import os
import socket
import struct

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
GSS_REQUEST = struct.pack("!ii", 8, 80877104)


def startup(*pairs: bytes, version: int = 3 << 16) -> bytes:
    """A start-up message from names and values."""
    body = struct.pack("!i", version) + b"".join(pair + b"\0" for pair in pairs) + b"\0"
    return struct.pack("!i", len(body) + 4) + body


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def query(text: str) -> bytes:
    return message(b"Q", text.encode() + b"\0")


def sasl_initial(mechanism: bytes, data: bytes) -> bytes:
    return message(b"p", mechanism + b"\0" + struct.pack("!i", len(data)) + data)


class Wire:
    """A connection that says what it is told to."""

    def __init__(self, port: int, timeout: float = 15) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.got = b""

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> "Wire":
        try:
            self.socket.sendall(data)
        except OSError:
            pass  # The server has hung up: reading tells.
        return self

    def no_more(self) -> None:
        """Says that nothing follows."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # The server was faster.

    def exactly(self, count: int) -> bytes:
        """That many bytes, or fewer when the server hangs up."""
        while len(self.got) < count:
            try:
                more = self.socket.recv(65536)
            except ConnectionError:
                more = b""
            if not more:
                break
            self.got += more
        taken, self.got = self.got[:count], self.got[count:]
        return taken

    def message(self) -> tuple[bytes, bytes]:
        """The next message; its kind is empty at the end."""
        head = self.exactly(5)
        if len(head) < 5:
            return b"", b""
        return head[:1], self.exactly(struct.unpack("!i", head[1:])[0] - 4)

    def until(self, *kinds: bytes) -> list[tuple[bytes, bytes]]:
        """Messages up to one of `kinds`, or to the end."""
        seen = [self.message()]
        while seen[-1][0] not in (*kinds, b""):
            seen.append(self.message())
        return seen

    def state(self) -> str:
        """The SQLSTATE of the next error, `in` if the server asks for queries before, `gone` if it hangs up."""
        kind, body = self.until(b"E", b"Z")[-1]
        if kind == b"E":
            return field(body, b"C")
        return "in" if kind == b"Z" else "gone"


def field(body: bytes, name: bytes) -> str:
    """A field of an ErrorResponse."""
    return next((part[1:].decode() for part in body.split(b"\0") if part[:1] == name), "")


class Scram:
    """The client's side of SCRAM-SHA-256, to be bent."""

    def __init__(self, password: str, gs2: str = "n,,") -> None:
        self.password, self.gs2 = password.encode(), gs2
        self.nonce = base64.b64encode(os.urandom(18)).decode()
        self.bare = f"n=,r={self.nonce}"

    def first(self) -> bytes:
        return (self.gs2 + self.bare).encode()

    def final(self, server_first: bytes, binding: bytes | None = None, nonce: str | None = None, proof=None) -> bytes:
        """The closing message; `proof` makes another of the right one, `iterations` of the server's are used."""
        fields = dict(part.split("=", 1) for part in server_first.decode().split(","))
        salted = hashlib.pbkdf2_hmac("sha256", self.password, base64.b64decode(fields["s"]), int(fields["i"]))
        client = hmac.digest(salted, b"Client Key", "sha256")
        without = f"c={base64.b64encode(binding or self.gs2.encode()).decode()},r={nonce or fields['r']}"
        signed = f"{self.bare},{server_first.decode()},{without}".encode()
        signature = hmac.digest(hashlib.sha256(client).digest(), signed, "sha256")
        right = bytes(a ^ b for a, b in zip(client, signature))
        return f"{without},p={base64.b64encode(proof(right) if proof else right).decode()}".encode()
