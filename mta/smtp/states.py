"""The states of a server session, and what each command is allowed to do in them.

A session goes through these states (RFC 5321, 4.1.4; RFC 2033 for LMTP)::

    OPENING ──▶ GREETED ──EHLO──▶ READY ──MAIL──▶ SENDER ──RCPT──▶ RECIPIENTS
      │            ▲ ▲              │ ▲                               │    │
      │            │ └──STARTTLS────┘ │                             DATA  BDAT
      │          TLS                  │                               │    │
      │                               ├────── end of data ────────────┘    │
      │                               └────── BDAT … LAST ────── CHUNKING ◀┘
      └─ refused ─▶ CLOSED        QUIT, 421: from everywhere to CLOSED

``RSET`` and a new ``EHLO`` lead from any state of a transaction (SENDER,
RECIPIENTS, CHUNKING) back to READY, and a completed ``STARTTLS`` to GREETED,
where nothing that was said before the handshake is remembered (RFC 3207, 4.2).

While a question to the reception is open, while content is read, and in the
middle of AUTH there is no command at all: octets wait, or belong to something
else.  This is why replies are always in the order of commands: there is never
a second command under way.

The table is what the session runs by: a command in a state that it does not
name is answered 503 with the complaint beside it.
"""

from __future__ import annotations

OPENING = 1
GREETED = 2
READY = 4
SENDER = 8
RECIPIENTS = 16
CHUNKING = 32
TLS = 64
CLOSED = 128

TRANSACTION = SENDER | RECIPIENTS | CHUNKING
ANY = GREETED | READY | TRANSACTION

#: command: (states that it is allowed in, complaint in the others)
ALLOWED: dict[bytes, tuple[int, str]] = {
    b"HELO": (ANY, ""),
    b"EHLO": (ANY, ""),
    b"LHLO": (ANY, ""),
    b"STARTTLS": (GREETED | READY, "STARTTLS is not allowed within a transaction"),
    b"AUTH": (READY, "AUTH comes after EHLO and before MAIL"),
    b"MAIL": (READY, "MAIL is not allowed here"),
    b"RCPT": (SENDER | RECIPIENTS, "MAIL comes before RCPT"),
    b"DATA": (RECIPIENTS, "RCPT comes before DATA"),
    b"BDAT": (RECIPIENTS | CHUNKING, "RCPT comes before BDAT"),
    b"RSET": (ANY, ""),
    b"NOOP": (ANY, ""),
    b"HELP": (ANY, ""),
    b"VRFY": (ANY, ""),
    b"EXPN": (ANY, ""),
    b"QUIT": (ANY, ""),
}

#: Commands that exist somewhere and that we do not offer: 502 rather than 500.
KNOWN = frozenset({b"TURN", b"ATRN", b"ETRN", b"SEND", b"SOML", b"SAML", b"BURL", b"XCLIENT", b"XFORWARD"})

#: First words of other protocols, whose speakers should learn at once where they are.
FOREIGN = frozenset(
    {b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"CONNECT", b"DELETE", b"PATCH", b"TRACE", b"PRI"}
    | {b"HOST:", b"USER-AGENT:", b"CONTENT-LENGTH:", b"SSH-2.0-GO", b"REGISTER", b"INVITE"}
)


def complaint(verb: bytes, state: int) -> str:
    """Why a command is not allowed in a state."""
    if state == GREETED and verb in (b"AUTH", b"MAIL", b"RCPT", b"DATA", b"BDAT"):
        return "Say EHLO first"
    if state == READY and verb in (b"DATA", b"BDAT"):
        return "MAIL and RCPT come first"
    if verb == b"MAIL":
        return "A transaction is under way; RSET ends it"
    if state == CHUNKING and verb in (b"RCPT", b"DATA"):
        return f"{verb.decode()} is not allowed between chunks"
    return ALLOWED[verb][1]
