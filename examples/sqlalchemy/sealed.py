"""Columns whose values are sealed by `keyfold value` before SQLAlchemy sees them."""

import base64
import json
import os
import subprocess
import threading

from sqlalchemy import Text, inspect
from sqlalchemy.types import TypeDecorator


class KeyfoldError(Exception):
    """A value was not sealed, or did not open. `exit_code` is one of `keyfold help exit-codes`."""

    def __init__(self, text, exit_code):
        super().__init__(text)
        self.exit_code = exit_code
        # The server is away or sealed, or the keyring is being changed: worth another try.
        self.transient = exit_code in (27, 28, 30)


class SealedText(TypeDecorator):
    """A column of sealed values. It takes nothing else, so that no plaintext gets into the database by mistake."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value, dialect):
        if value is not None and not value.startswith("kf1:"):
            raise TypeError("this column takes sealed values only: set the attribute that seals them")
        return value


def dek_no(value):
    """The number of the data key that sealed a value: each value tells it, without a key."""
    return int.from_bytes(base64.urlsafe_b64decode(value.removeprefix("kf1:") + "==")[1:5])


class opened:
    """The plaintext of a sealed column, as an attribute of its row. It is opened when it is read, and kept nowhere."""

    def __init__(self, attribute, values):
        self.attribute, self.values = attribute, values

    def __get__(self, row, model=None):
        if row is None:
            return self
        sealed = getattr(row, self.attribute)
        return None if sealed is None else self.values.open(self.place(row), sealed)

    def __set__(self, row, plaintext):
        sealed = None if plaintext is None else self.values.seal(self.place(row), plaintext)
        setattr(row, self.attribute, sealed)

    def place(self, row):
        """What the value is bound to: it opens nowhere else."""
        mapper = inspect(type(row))
        [key] = mapper.primary_key_from_instance(row)
        if key is None:
            raise ValueError("a row needs its primary key before its values are sealed")
        return {"table": mapper.local_table.fullname, "column": mapper.columns[self.attribute].name, "key": str(key)}


class Values:
    """A `keyfold value` process, for any number of threads. It is started when it is needed, and anew after a fork."""

    def __init__(self, keyring, pin):
        # With -pin a keyring that somebody put other keys into is refused.
        self.command = ["keyfold", "value", f"-keyring={keyring}", f"-pin={pin}"]
        self.forget()
        os.register_at_fork(after_in_child=self.forget)

    def forget(self):
        self.lock, self.process = threading.Lock(), None

    def seal(self, place, plaintext):
        text = base64.b64encode(plaintext.encode()).decode()
        return self.ask({"op": "seal", **place, "plaintext": text})["value"]

    def open(self, place, value):
        answer = self.ask({"op": "open", **place, "value": value})
        return base64.b64decode(answer["plaintext"]).decode()

    def ask(self, question):
        """One line there, one line back."""
        with self.lock:
            if self.process is None or self.process.poll() is not None:
                self.process = subprocess.Popen(
                    self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
                )
            try:
                self.process.stdin.write(json.dumps(question) + "\n")
                line = self.process.stdout.readline()
            except BrokenPipeError:
                line = ""
            except BaseException:
                # Its answer would be taken for that of the next question.
                self.process.kill()
                self.process = None
                raise
            if not line:
                # What the matter is, it said on standard error.
                raise KeyfoldError("`keyfold value` ended", self.process.wait())
        answer = json.loads(line)
        if "error" in answer:
            raise KeyfoldError(answer["error"], answer["exit_code"])
        return answer
