"""Names and passwords for several smarthosts, from a file as Postfix's ``sasl_passwd``.

::

    # Whom it is for          user:password
    ann@example.org           ann:secret
    @shop.example             shop:secret
    [smtp.provider.example]:587  office:secret

A message that ``[[sender_relay]]`` sends on its way is looked for by its sender
and by its sender's domain first; then, and for every other message, the next
hop counts, as it is written in the configuration, and its host.  No text of an
error repeats what stands in the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from twisted.logger import Logger

from mta.smtp.client_auth import Credentials

_log = Logger()
_PORT = re.compile(r":\d{1,5}\Z")


def read_passwords(path: Path, setting: str) -> Mapping[str, Credentials]:
    """The file's entries by their key in lower case.

    :param setting: the name of the setting, for messages.
    :raise ValueError: with every mistake as ``file:line: what``; holds no secret.
    """
    try:
        if path.stat().st_mode & 0o007:
            _log.warn("{path} can be read by everybody; make it mode 0600", path=str(path))
        text = path.read_text("utf-8")
    except OSError as trouble:
        raise ValueError(f"{setting}: {path}: {trouble.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{setting}: {path} is not UTF-8") from None
    return parse_passwords(text, str(path), setting)


def parse_passwords(text: str, file: str, setting: str = "passwords") -> dict[str, Credentials]:
    """As :func:`read_passwords`, from a text.

    :raise ValueError: likewise.
    """
    found: dict[str, Credentials] = {}
    wrong: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        key, _, rest = bare.replace("\t", " ").partition(" ")
        username, colon, password = bare[len(key) :].strip().partition(":")
        if not rest or not colon or not username or not password:
            wrong.append(f"{file}:{number}: a line is SENDER or NEXT-HOP, space, USER:PASSWORD")
        elif "\0" in bare:
            wrong.append(f"{file}:{number}: there is a NUL in it")
        elif _key(key) in found:
            wrong.append(f"{file}:{number}: {key} stands here twice")
        else:
            found[_key(key)] = Credentials(username, password)
    if wrong:
        raise ValueError(f"{setting}: " + "; ".join(wrong))
    return found


def credentials_for(
    passwords: Mapping[str, Credentials], next_hop: str, sender: str = ""
) -> Credentials | None:
    """Whose name and password to use.

    :param next_hop: as the configuration has it.
    :param sender: the sender whose smarthost this is; ``""`` if the sender does not count.
    """
    sender = sender.lower()
    keys = [sender, f"@{sender.rpartition('@')[2]}"] if sender else []
    keys += [_key(next_hop), _key(_PORT.sub("", next_hop))]
    return next((passwords[key] for key in keys if key in passwords), None)


def _key(text: str) -> str:
    """``[host]:port`` and ``host:port`` are the same."""
    return text.lower() if "@" in text else text.lower().replace("[", "").replace("]", "")
