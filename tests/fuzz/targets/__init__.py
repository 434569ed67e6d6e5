"""All targets, by name.

``make fuzz`` runs each of them with atheris (:mod:`tests.fuzz.run`), guided by coverage;
``make test`` plays the seeds and some changes of them (:mod:`tests.fuzz.test_targets`).
"""

from __future__ import annotations

from tests.fuzz.targets import (
    dkim,
    dmarc,
    dmarc_report,
    imap,
    imap_message,
    imap_session,
    mailbox,
    message,
    milter,
    smtp,
    spf,
    tls_report,
)

TARGETS = {
    target.name: target
    for module in (
        smtp,
        message,
        spf,
        dkim,
        dmarc,
        milter,
        dmarc_report,
        tls_report,
        mailbox,
        imap,
        imap_session,
        imap_message,
    )
    for target in module.TARGETS
}
