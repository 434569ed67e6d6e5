"""Gives posts to anymail's webhook views: ``vendor_webhooks.py WHICH``, run by .venv/clients.

It reads a list of ``{"body", "headers", "key"}`` and prints for each what anymail has made of it.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any


def main(which: str, posts: list[dict[str, Any]]) -> Any:
    """The events of each post, or its status where it was refused."""
    import django
    from django.conf import settings

    warnings.simplefilter("ignore")
    settings.configure(SECRET_KEY="x", ALLOWED_HOSTS=["*"], DEFAULT_CHARSET="utf-8", ANYMAIL={})
    django.setup()
    from anymail.exceptions import AnymailWebhookValidationFailure
    from anymail.signals import tracking
    from anymail.webhooks.postmark import PostmarkTrackingWebhookView
    from anymail.webhooks.sendgrid import SendGridTrackingWebhookView
    from django.test import RequestFactory

    view = {"postmark": PostmarkTrackingWebhookView, "sendgrid": SendGridTrackingWebhookView}[which]
    told: list[Any] = []

    def take(sender: Any, event: Any, esp_name: str, **more: Any) -> None:
        told.append(
            {
                "type": event.event_type,
                "reject": event.reject_reason,
                "recipient": event.recipient,
                "message_id": event.message_id,
                "tags": event.tags,
                "metadata": event.metadata,
                "reply": event.mta_response,
                "url": event.click_url,
                "agent": event.user_agent,
                "at": event.timestamp.timestamp() if event.timestamp else None,
            }
        )

    tracking.connect(take)
    found = []
    for post in posts:
        told.clear()
        headers = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in post["headers"].items()}
        request = RequestFactory().post("/", post["body"], content_type="application/json", **headers)
        settings.ANYMAIL = {"SENDGRID_TRACKING_WEBHOOK_VERIFICATION_KEY": post["key"]} if post["key"] else {}
        try:
            status = view.as_view()(request).status_code
        except AnymailWebhookValidationFailure:
            status = 400
        found.append(list(told) if status == 200 else status)
    return found


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], json.load(sys.stdin))))
