"""The command line of sendmail(8), as far as programs use it; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


class UsageError(ValueError):
    """The command line cannot be understood; the text says why."""


@dataclass(slots=True)
class SendmailOptions:
    """What was asked.

    :ivar mode: ``m`` deliver, ``s`` SMTP on standard input, ``p`` list the
        queue, ``q`` flush it, ``i`` new aliases, ``v`` verify addresses, ``help``.
    :ivar sender: of ``-f`` or ``-r``; ``None`` without.
    :ivar full_name: of ``-F``.
    :ivar from_header: ``-t``: recipients are in the header.
    :ivar dot_ends: whether a line with a dot alone ends the message.
    :ivar notify: of ``-N``: keywords.
    :ivar ret: of ``-R``: ``FULL`` or ``HDRS``.
    :ivar envid: of ``-V``.
    :ivar config: of ``-C``.
    :ivar verbose: of ``-v``.
    :ivar recipients: what stands behind the options.
    """

    mode: str = "m"
    sender: str | None = None
    full_name: str = ""
    from_header: bool = False
    dot_ends: bool = True
    notify: tuple[str, ...] = ()
    ret: str = ""
    envid: str = ""
    config: str = ""
    verbose: bool = False
    recipients: list[str] = field(default_factory=list)


#: What ``--help`` prints.
USAGE = """\
mta-sendmail [OPTION...] [ADDRESS...]   hand the message on standard input to mta

  -t            take recipients from To, Cc and Bcc
  -i, -oi       a line with a dot alone does not end the message
  -f, -r ADDR   the sender
  -F NAME       the sender's name, for a From field where there is none
  -N WHEN       notify: never, or some of success,failure,delay
  -R WHAT       return full or hdrs with a bounce
  -V ID         envelope id
  -C FILE       configuration
  -v            say what the server answered
  -bs           speak SMTP on standard input and output
  -bp, -q       list the queue; flush it
  -bv           show where addresses lead
  --            only addresses follow

Other options of sendmail are taken, and do nothing.
"""

#: Letters that take a value, attached or as the next word.
_VALUED = frozenset("BCFfhLNOprRVX")
#: Letters that take whatever is attached to them, maybe nothing.
_ATTACHED = frozenset("Abdeoq")
#: Letters that stand alone, and mean nothing here or only what is said below.
_ALONE = frozenset("GimnsTtUv")

_MODES = {
    "m": "m",
    "s": "s",
    "p": "p",
    "i": "i",
    "v": "v",
}
_REFUSED_MODES = {
    "d": "the server is started with `twistd mta`",
    "D": "the server is started with `twistd mta`",
    "t": "`mta test ADDRESS` shows how an address is routed",
    "h": "there is no host status; see `mta status`",
    "H": "there is no host status; see `mta status`",
    "a": "ARPANET mode is not available",
}


def parse_options(arguments: Sequence[str]) -> SendmailOptions:
    """Read the command line.

    :raise UsageError: if it cannot be understood.
    """
    options = SendmailOptions()
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word == "--":
            options.recipients += words
            break
        if word == "--help":
            options.mode = "help"
            break
        if word.startswith("--"):
            raise UsageError(f"there is no option {word}; `mta-sendmail --help` lists them")
        if not word.startswith("-") or word == "-":
            options.recipients.append(word)
            continue
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in _VALUED:
                if not letters and not words:
                    raise UsageError(f"-{letter} needs a value")
                value = letters or words.pop(0)
                letters = ""
                _set(options, letter, value)
            elif letter in _ATTACHED:
                _attached(options, letter, letters)
                letters = ""
            elif letter in _ALONE:
                _alone(options, letter)
            else:
                raise UsageError(f"there is no option -{letter}")
    return options


def _set(options: SendmailOptions, letter: str, value: str) -> None:
    if letter in "fr":
        options.sender = value
    elif letter == "F":
        options.full_name = value
    elif letter == "C":
        options.config = value
    elif letter == "V":
        options.envid = value
    elif letter == "N":
        options.notify = _notify(value)
    elif letter == "R":
        options.ret = value.upper()
        if options.ret not in ("FULL", "HDRS"):
            raise UsageError(f"-R is full or hdrs, not {value!r}")
    elif letter == "O":
        name, _, setting = value.partition("=")
        if name.lower() == "ignoredots":
            options.dot_ends = setting.lower()[:1] not in ("t", "y", "1", "")


def _notify(value: str) -> tuple[str, ...]:
    keywords = tuple(word.strip().upper() for word in value.split(",") if word.strip())
    unknown = [word for word in keywords if word not in ("NEVER", "SUCCESS", "FAILURE", "DELAY")]
    if unknown or not keywords or ("NEVER" in keywords and len(keywords) > 1):
        raise UsageError(f"-N is never, or some of success, failure and delay, not {value!r}")
    return keywords


def _attached(options: SendmailOptions, letter: str, value: str) -> None:
    if letter == "b":
        mode = value[:1]
        if mode in _REFUSED_MODES:
            raise UsageError(f"-b{mode}: {_REFUSED_MODES[mode]}")
        if mode not in _MODES:
            raise UsageError(f"-b{mode}: there is no such mode")
        options.mode = _MODES[mode]
    elif letter == "q":
        options.mode = "q"
    elif letter == "o" and value[:1] == "i":
        options.dot_ends = False


def _alone(options: SendmailOptions, letter: str) -> None:
    if letter == "i":
        options.dot_ends = False
    elif letter == "t":
        options.from_header = True
    elif letter == "v":
        options.verbose = True
