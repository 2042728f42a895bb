"""
What `sitecustomize` does in the processes that a test watches: it notes, in the file that POLICY_ENGINE_WATCH names,
every connection, process, written file and compiled text that the interpreter announces.
"""

import os
import sys

_LOG = os.open(os.environ["POLICY_ENGINE_WATCH"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
_MARK = "pwned"
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_EVENTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "pty.spawn",
           "os.mkdir", "os.rename", "os.link", "os.symlink", "os.chmod", "os.chown", "os.truncate", "os.remove",
           "os.rmdir", "webbrowser.open", "pickle.find_class", "sqlite3.connect", "code.__new__")  # fmt: skip


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open":
        path, mode, flags = arguments
        if isinstance(path, int) or not (int(flags or 0) & _WRITES or set(str(mode or "")) & set("wax+")):  # type: ignore[call-overload]
            return
    elif event in ("compile", "exec"):
        if _MARK not in repr(arguments[0]):
            return
    elif not event.startswith(("socket.", "urllib.", "ftplib.", "http.", "smtplib.")) and event not in _EVENTS:
        return
    os.write(_LOG, (repr((event, *map(str, arguments))) + "\n").encode("utf-8", "backslashreplace"))


sys.addaudithook(_note)
