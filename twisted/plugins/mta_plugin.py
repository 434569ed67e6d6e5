"""What twistd and the server find of ours: the service, and the kinds of plugin that we ship."""

from twisted.application.service import ServiceMaker

from mta.deliver.error import ERROR as error_transport
from mta.deliver.lmtp import LMTP as lmtp_transport
from mta.deliver.maildir import MAILDIR as maildir_transport
from mta.deliver.pipe import PIPE as pipe_transport
from mta.deliver.relay import RELAY as relay_transport
from mta.deliver.webhook import WEBHOOK as webhook_transport
from mta.feedback.transport import FEEDBACK as feedback_transport
from mta.identity.file import FILE as file_identity
from mta.identity.ldap import LDAP as ldap_identity
from mta.judge.arc import ARC as arc_judge
from mta.judge.content.judge import CONTENT as content_judge
from mta.judge.dkim import DKIM as dkim_judge
from mta.judge.dmarc import DMARC as dmarc_judge
from mta.judge.greylist import GREYLIST as greylist_judge
from mta.judge.milter.judge import MILTER as milter_judge
from mta.judge.reputation.judge import REPUTATION as reputation_judge
from mta.judge.spf.judge import SPF as spf_judge

service = ServiceMaker(
    "mta",
    "mta.tap",
    "A mail transfer agent: receives, keeps, delivers and relays mail.",
    "mta",
)

__all__ = [
    "arc_judge",
    "content_judge",
    "dkim_judge",
    "dmarc_judge",
    "error_transport",
    "feedback_transport",
    "file_identity",
    "greylist_judge",
    "ldap_identity",
    "lmtp_transport",
    "maildir_transport",
    "milter_judge",
    "pipe_transport",
    "relay_transport",
    "reputation_judge",
    "service",
    "spf_judge",
    "webhook_transport",
]
