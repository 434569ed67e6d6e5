"""A receiving session: whatever a client sends, and however it is divided."""

from __future__ import annotations

from tests.fuzz.targets.target import Target
from tests.smtp.server_fakes import Dialogue, limits


def smtp_session(octets: bytes) -> None:
    """Every line that is said is a reply, what is kept of a command is bounded, and so are errors."""
    size = octets[0] % 97 + 1 if octets else 1
    dialogue = Dialogue(limits=limits(errors=8, line=600, messages=20))
    said = ""
    for start in range(1, len(octets), size):
        said += dialogue.send(octets[start : start + size])
        if dialogue.closed:
            break
        assert len(dialogue.protocol.session.buffer) <= 600 + size
    for line in said.split("\r\n")[:-1]:
        assert line[:3].isdigit() and line[0] in "2345" and line[3] in " -", line
    for message in dialogue.reception.messages:
        rest = message.data.replace(b"\r\n", b"")
        assert b"\n" not in rest and b"\r" not in rest


TARGETS = (
    Target(
        "smtp-session",
        smtp_session,
        (
            b"\x60EHLO x\r\nMAIL FROM:<a@b.test> SIZE=5 BODY=8BITMIME\r\nRCPT TO:<ann@local.test>\r\nDATA\r\n"
            b"x: y\r\n\r\n..z\r\n.\r\nQUIT\r\n",
            b"\x05EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<ann@local.test> NOTIFY=NEVER\r\nBDAT 6\r\na: b\r\n"
            b"BDAT 2 LAST\r\n\r\nRSET\r\nNOOP\r\nVRFY x\r\nHELP\r\n",
            b"\x20HELO x\r\nMAIL FROM:<@c.test,@d.test:a@b.test>\r\nAUTH PLAIN AGE=\r\nSTARTTLS\r\n\r\n\n",
        ),
    ),
)
