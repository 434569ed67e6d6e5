"""What twistd and the server find of ours: the service, and the kinds of plugin that we ship."""

from twisted.application.service import ServiceMaker

from mta.identity.file import FILE as file_identity
from mta.identity.ldap import LDAP as ldap_identity

service = ServiceMaker(
    "mta",
    "mta.tap",
    "A mail transfer agent: receives, keeps, delivers and relays mail.",
    "mta",
)

__all__ = [
    "file_identity",
    "ldap_identity",
    "service",
]
