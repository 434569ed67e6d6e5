"""Messages that are odd, each in its own way."""

from __future__ import annotations


def _lines(*lines: str | bytes) -> bytes:
    return b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines)


def _header(*lines: str | bytes) -> bytes:
    return _lines(*lines, "", "body")


MESSAGES: dict[str, bytes] = {
    "plain": _header("From: a@b.org", "Subject: hello", "Date: Mon, 1 Jan 2024 10:00:00 +0000"),
    "empty": b"",
    "one end of a line": b"\n",
    "only a header": b"Subject: a\n",
    "a header that ends nowhere": b"Subject: a",
    "a last line without an end": b"Subject: a\n\nbody",
    "crlf": b"Subject: a\r\nTo: c@d.org\r\n\r\nbody\r\nmore\r\n",
    "crlf and lf": b"Subject: a\r\nTo: c@d.org\n\nbody\r\nmore\nend",
    "lone cr": b"Subject: a\rb\n\nbody\rmore\r\n\rx\r",
    "folded": _header("Subject: one", "  two", "\tthree", "From: A", " <a@b.org>"),
    "folded empty": _header("Subject:", " two", "To:", " ", " <a@b.org>"),
    "empty fields": _header("Subject:", "From:", "To: ", "Date:", "Message-ID:"),
    "twice": _header("Subject: one", "Subject: two", "To: a@b.org", "To: c@d.org", "From: x@y", "From: z@w"),
    "names with spaces": _header("Subject : one", "From\t: a@b.org"),
    "no field": _header("Subject: one", "this is none", "To: a@b.org"),
    "mbox line": _lines("From a@b.org Mon Jan 1 00:00:00 2024", "Subject: one", "", "body"),
    "8 bit": _header("Subject: gr\u00fc\u00dfe", b"From: \xfc <a@b.org>", b'To: "\xe9" <c@d.org>'),
    "encoded": _header("Subject: =?utf-8?q?a?=", "From: =?utf-8?b?YQ==?= <a@b.org>"),
    "quotes": _header('Subject: say "a\\b"', 'From: "A \\"B\\" C" <a@b.org>', 'To: "x y"@d.org'),
    "nul": b"Subject: a\0b\nFrom: x\0@y.org\n\nbo\0dy\n",
    "groups": _header("To: team: a@x.org, Ben <b@y.org>;, c@z.org", "Cc: undisclosed-recipients:;"),
    "groups unended": _header("To: team: a@x.org, Ben <b@y.org>", "Cc: a: b: c@d;"),
    "comments": _header("To: a@x.org (Carl), (x) b@y.org, c (y) @z.org, Q <d@e.org> (w)"),
    "routes": _header("To: <@a,@b:c@d.org>, X <@a:c@d.org>"),
    "no host": _header("To: anna, Ben Q, <carl>, Dora <dora>, <>, X <>"),
    "no mailbox": _header("To: @x.org, <@y.org>, a@", "Cc: <a@>"),
    "commas": _header("To: ,, a@b.org,, ,c@d.org,"),
    "broken addresses": _header(
        "To: <a@b.org, c@d.org>, x <y@z", "Cc: a b@c.org d, e@@f.org", 'Bcc: "q <a@b>'
    ),
    "dots": _header("To: A. B. <a.b@c.d.org>, a . b @ c . org, J.R <x@y>"),
    "literal host": _header("To: a@[10.0.0.1], b@[IPv6:::1]"),
    "sender and answers": _header("From: a@b.org", "Sender: c@d.org", "Reply-To: e@f.org, g@h.org"),
    "sender empty": _header("From: a@b.org", "Sender:", "Reply-To: "),
    "ids": _header("In-Reply-To: <a@b> (c)", " <d@e>", "Message-Id:   <x@y>  ", "References: <q@r>"),
    "long subject": _header("Subject: " + "x" * 3000),
    "many to": _header("To: " + ", ".join(f"N {n} <a{n}@b.org>" for n in range(200))),
    "html": _header("Content-Type: text/html; charset=utf-8"),
    "mime details": _header(
        "MIME-Version: 1.0",
        'Content-Type: application/pdf; name="a b.pdf"; x=y',
        "Content-Transfer-Encoding: base64",
        "Content-ID: <1@x>",
        "Content-Description: some words",
        "Content-MD5: abc==",
        'Content-Disposition: attachment; filename="a b.pdf"; size=3',
        "Content-Language: de, en",
        "Content-Location: http://x/",
    ),
    "types": _header("MIME-Version: 1.0", "Content-Type: TEXT/Plain; CharSet=UTF-8; Format=flowed"),
    "type without sub": _header("Content-Type: text"),
    "type empty": _header("Content-Type:"),
    "type of rubbish": _header("Content-Type: !!; ==; a=b"),
    "type unknown": _header('Content-Type: x-y/z-q; a=b; c=""'),
    "type with comments": _header("Content-Type: text/plain (c); charset=us-ascii (d); x=(e) y"),
    "type spaced": _header("Content-Type: text / html ; charset = utf-8"),
    "parameters": _header(
        "Content-Type: image/png; name*=utf-8''a%20b; a*0=b; a*1=c; a=1; a=2; semi=\"a;b\"; e=; f"
    ),
    "encodings": _header("MIME-Version: 1.0", "Content-Transfer-Encoding:  Quoted-Printable ; x"),
    "encoding empty": _header("MIME-Version: 1.0", "Content-Transfer-Encoding:"),
    "disposition rubbish": _header("MIME-Version: 1.0", "Content-Disposition: ; filename=x"),
    "disposition word": _header("MIME-Version: 1.0", "Content-Disposition: inline"),
    "language": _header("MIME-Version: 1.0", "Content-Language: de (x), , en-GB"),
}


def _multipart(*lines: str, kind: str = "mixed", boundary: str = "q") -> bytes:
    return _lines(
        "MIME-Version: 1.0", "Subject: m", f"Content-Type: multipart/{kind}; boundary={boundary}", "", *lines
    )


MESSAGES |= {
    "multipart": _multipart(
        "pre", "--q", "", "one", "--q", "Content-Type: text/html", "", "two", "--q--", "post"
    ),
    "multipart without an end": _multipart("--q", "", "one", "--q", "Content-Type: text/html", "", "two"),
    "multipart without parts": _multipart("nothing here"),
    "multipart ended at once": _multipart("--q--", "x"),
    "multipart of empty parts": _multipart("--q", "--q", "", "--q", "", "", "--q--"),
    "part without header": _multipart("--q", "text", "more", "--q--"),
    "part of a header": _multipart("--q", "Content-Type: text/html", "--q", "", "x", "--q--"),
    "boundary with spaces": _multipart("--q  ", "", "one", "--q \t", "", "two", "--q-- "),
    "boundary longer": _multipart("--q", "", "one", "--qq", "", "two", "--q-", "--q--", "--q", "", "three"),
    "boundary quoted": _multipart("--a b:c", "", "one", "--a b:c--", boundary='"a b:c"'),
    "boundary missing": _lines("Content-Type: multipart/mixed", "", "--q", "", "one", "--q--"),
    "boundary empty": _lines('Content-Type: multipart/mixed; boundary=""', "", "--", "", "one", "----"),
    "digest": _multipart(
        "--q", "", "Subject: a", "", "x", "--q", "", "Subject: b", "", "y", "--q--", kind="digest"
    ),
    "nested": _multipart(
        *("--q", "Content-Type: multipart/alternative; boundary=r", "", "--r", "", "a", "--r"),
        *("Content-Type: text/html", "", "b", "--r--", "", "--q", "", "c", "--q--"),
    ),
    "nested cut": _multipart(
        *(
            "--q",
            "Content-Type: multipart/alternative; boundary=r",
            "",
            "--r",
            "",
            "a",
            "--q",
            "",
            "c",
            "--q--",
        ),
    ),
    "nested with one boundary": _multipart(
        *(
            "--q",
            "Content-Type: multipart/alternative; boundary=q",
            "",
            "--q",
            "",
            "a",
            "--q--",
            "--q",
            "",
            "c",
        ),
        "--q--",
    ),
    "nested prefix": _multipart(
        *(
            "--q",
            "Content-Type: multipart/alternative; boundary=qq",
            "",
            "--qq",
            "",
            "a",
            "--qq--",
            "--q",
            "",
            "c",
        ),
        "--q--",
    ),
    "forwarded": _multipart(
        *("--q", "", "see", "--q", "Content-Type: message/rfc822", "Content-Description: d", ""),
        *("Subject: inner", "From: i@j.org", "", "deep", "--q--"),
    ),
    "forwarded multipart": _multipart(
        *(
            "--q",
            "Content-Type: message/rfc822",
            "",
            "Subject: inner",
            "Content-Type: multipart/mixed; boundary=r",
        ),
        *("", "--r", "", "a", "--r", "", "b", "--r--", "--q--"),
    ),
    "forwarded empty": _multipart("--q", "Content-Type: message/rfc822", "", "--q--"),
    "forwarded base64": _multipart(
        *("--q", "Content-Type: message/rfc822", "Content-Transfer-Encoding: base64", "", "QUFB", "--q--"),
    ),
    "message alone": _lines("Content-Type: message/rfc822", "", "Subject: inner", "", "x"),
    "message in a message": _lines(
        *("Content-Type: message/rfc822", "", "Content-Type: message/rfc822", "", "Subject: inner", "", "x"),
    ),
    "partial": _header("Content-Type: message/partial; id=x; number=1"),
    "report": _multipart(
        *(
            "--q",
            "",
            "human",
            "--q",
            "Content-Type: message/delivery-status",
            "",
            "Reporting-MTA: dns; x",
            "",
        ),
        *(
            "Final-Recipient: rfc822; a@b",
            "",
            "--q",
            "Content-Type: text/rfc822-headers",
            "",
            "Subject: s",
            "--q--",
        ),
        kind="report; report-type=delivery-status",
    ),
    "multipart crlf": _multipart("--q", "", "one", "", "--q", "", "two", "--q--").replace(b"\n", b"\r\n"),
    "multipart in base64": _lines(
        *(
            "Content-Type: multipart/mixed; boundary=q",
            "Content-Transfer-Encoding: base64",
            "",
            "--q",
            "",
            "a",
        ),
        "--q--",
    ),
}
