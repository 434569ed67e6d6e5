"""Sends with other services' own programs: ``vendor_client.py WHICH URL KEY``, run by .venv/clients.

It prints as JSON what the program says of it; nothing here knows our server.
"""

from __future__ import annotations

import asyncio
import json
import sys
import warnings
from typing import Any
from urllib.parse import urljoin

SENDER, TO = "shop@example.org", "ann@example.org"


def django(backend: str, **anymail: Any) -> None:
    """Set it up."""
    import django as framework
    from django.conf import settings

    warnings.simplefilter("ignore")
    settings.configure(EMAIL_BACKEND=backend, ANYMAIL=anymail, SECRET_KEY="x", DEFAULT_CHARSET="utf-8")
    framework.setup()


def a_message() -> Any:
    """With everything that a message of Django's has, and that anymail adds to it."""
    from anymail.message import AnymailMessage, attach_inline_image

    message = AnymailMessage(
        subject="Größe",
        body="Text",
        from_email=f"The Shop <{SENDER}>",
        to=[f"Ann <{TO}>"],
        cc=["ben@example.org"],
        reply_to=["help@example.org"],
        headers={"X-Order": "17"},
        tags=["order"],
        metadata={"order": 17},
        track_opens=False,
    )
    cid = attach_inline_image(message, b"\x89PNG", "logo.png", subtype="png", domain="example.org")
    message.attach_alternative(f'<p>HTML <img src="cid:{cid}"></p>', "text/html")
    message.attach("terms.txt", "Be kind.", "text/plain")
    return message


def statuses(message: Any) -> Any:
    """What anymail has understood."""
    people = message.anymail_status.recipients
    return {name: [one.status, one.message_id] for name, one in people.items()}


def anymail() -> Any:
    """One message, one with merge data, and one that is refused."""
    from anymail.exceptions import AnymailAPIError

    message = a_message()
    message.send()
    many = a_message()
    many.cc, many.to, many.merge_metadata = [], [TO, "ben@example.org"], {TO: {"who": "ann"}}
    many.send()
    wrong = a_message()
    wrong.from_email = "shop@elsewhere.example"
    try:
        wrong.send()
    except AnymailAPIError as error:
        refused = str(error)
    return {"one": statuses(message), "many": statuses(many), "refused": refused}


def anymail_postmark(url: str, key: str) -> Any:
    """django-anymail's backend for Postmark."""
    django(
        "anymail.backends.postmark.EmailBackend",
        POSTMARK_SERVER_TOKEN=key,
        POSTMARK_API_URL=urljoin(url, "/postmark/"),
    )
    found = anymail()
    gone = a_message()
    gone.cc, gone.to = [], ["gone@example.org"]
    from anymail.exceptions import AnymailRecipientsRefused

    try:
        gone.send()
    except AnymailRecipientsRefused:
        found["suppressed"] = statuses(gone)
    return found


def anymail_sendgrid(url: str, key: str) -> Any:
    """django-anymail's backend for SendGrid."""
    django(
        "anymail.backends.sendgrid.EmailBackend",
        SENDGRID_API_KEY=key,
        SENDGRID_API_URL=urljoin(url, "/v3/"),
        SENDGRID_MERGE_FIELD_FORMAT="-{}-",
    )
    return anymail()


def postmarker(url: str, key: str) -> Any:
    """The client that most use with Postmark."""
    from postmarker.core import PostmarkClient
    from postmarker.exceptions import ClientError

    client = PostmarkClient(server_token=key, root_api_url=url)
    email = client.emails.Email(
        From=SENDER,
        To=[TO, "ben@example.org"],
        Subject="Hi",
        HtmlBody="<p>HTML</p>",
        Tag="order",
        Metadata={"order": "17"},
        Headers={"X-Order": "17"},
    )
    email.attach_binary(b"Be kind.", "terms.txt")
    one = email.send()
    batch = client.emails.send_batch(
        {"From": SENDER, "To": TO, "Subject": "1", "TextBody": "x"},
        {"From": SENDER, "To": "nobody", "Subject": "2", "TextBody": "x"},
    )
    templated = client.emails.send_with_template(
        TemplateAlias="greeting", TemplateModel={"name": "Ann"}, From=SENDER, To=TO
    )
    try:
        client.emails.send(From="shop@elsewhere.example", To=TO, Subject="x", TextBody="x")
    except ClientError as error:
        refused = [error.error_code, str(error)]
    return {"one": one, "batch": batch, "templated": templated, "refused": refused}


def postmark(url: str, key: str) -> Any:
    """Postmark's own client."""
    import postmark as vendor
    from postmark.exceptions import PostmarkAPIException

    async def main() -> Any:
        async with vendor.ServerClient(key, retries=0, base_url=urljoin(url, "/postmark")) as client:
            email = {
                "sender": SENDER,
                "to": TO,
                "subject": "Hi",
                "text_body": "Text",
                "tag": "order",
                "metadata": {"order": "17"},
            }
            one = await client.outbound.send(email)
            batch = await client.outbound.send_batch([email, {**email, "to": "nobody@example.org"}])
            try:
                await client.outbound.send({**email, "to": "gone@example.org"})
            except PostmarkAPIException as error:
                gone = [type(error).__name__, getattr(error, "inactive_recipients", [])]
            return {
                "one": one.model_dump(mode="json"),
                "batch": [answer.model_dump(mode="json") for answer in batch],
                "gone": gone,
            }

    return asyncio.run(main())


def sendgrid(url: str, key: str) -> Any:
    """SendGrid's own client."""
    from python_http_client.exceptions import HTTPError
    from sendgrid import SendGridAPIClient
    from sendgrid.helpers import mail

    client = SendGridAPIClient(key, host=url.rstrip("/"))
    message = mail.Mail(
        from_email=(SENDER, "The Shop"),
        to_emails=[(TO, "Ann")],
        subject="Größe",
        plain_text_content="Text",
        html_content="<p>HTML</p>",
    )
    message.category = [mail.Category("order")]
    message.custom_arg = mail.CustomArg("order", "17")
    message.header = mail.Header("X-Order", "17")
    message.attachment = mail.Attachment(
        mail.FileContent("QmUga2luZC4="), mail.FileName("terms.txt"), mail.FileType("text/plain")
    )
    message.asm = mail.Asm(mail.GroupId(1))
    answer = client.send(message)
    many = mail.Mail(
        from_email=SENDER,
        to_emails=[
            mail.To(TO, substitutions={"-name-": "Ann"}),
            mail.To("ben@example.org", substitutions={"-name-": "Ben"}),
        ],
        subject="Hello -name-",
        plain_text_content="For -name-",
        is_multiple=True,
    )
    second = client.send(many)
    try:
        client.send(mail.Mail("shop@elsewhere.example", TO, "x", "x"))
    except HTTPError as error:
        refused = [error.status_code, error.to_dict]
    return {
        "one": [answer.status_code, answer.headers["X-Message-Id"]],
        "many": [second.status_code, second.headers["X-Message-Id"]],
        "refused": refused,
    }


if __name__ == "__main__":
    which, url, key = sys.argv[1:]
    print(json.dumps(globals()[which](url, key)))
