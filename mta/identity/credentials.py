"""What is handed to a checker, and what a checker may offer beside checking.

Passwords travel as ``twisted.cred``'s :class:`IUsernamePassword` with octets in
UTF-8, so that any checker written for Twisted can be used.
"""

from __future__ import annotations

from twisted.cred.credentials import ICredentials
from twisted.cred.credentials import IUsernamePassword as IUsernamePassword
from twisted.cred.credentials import UsernamePassword as UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from zope.interface import Attribute, Interface, implementer

from mta.identity.scram import ScramKeys, proof_fits
from mta.interfaces import Answer


class UnknownAccount(UnauthorizedLogin):
    """A checker does not know the account, and therefore did not verify a password."""


class IScramCredentials(ICredentials):
    """A client's SCRAM proof, to be held against the keys of an account."""

    username = Attribute("The account, UTF-8 octets.")
    salt = Attribute("The salt that was offered for accounts whose keys are made from a clear password.")

    def check_keys(keys: ScramKeys) -> bool:
        """Whether the proof was made with the password behind these keys."""


@implementer(IScramCredentials)
class ScramCredentials:
    """A proof with the messages that it is made over (RFC 5802, 3).

    :param username: UTF-8 octets.
    :param salt: as in :class:`IScramCredentials`.
    :param auth_message: ``AuthMessage`` of RFC 5802.
    :param proof: ``ClientProof``.
    """

    def __init__(self, username: bytes, salt: bytes, auth_message: bytes, proof: bytes) -> None:
        self.username = username
        self.salt = salt
        self._auth_message = auth_message
        self._proof = proof

    def check_keys(self, keys: ScramKeys) -> bool:
        """See :class:`IScramCredentials`."""
        return proof_fits(keys, self._auth_message, self._proof)


class IScramKeySource(Interface):
    """Optional, for a checker of :class:`IScramCredentials`: gives keys before the proof."""

    offers_scram = Attribute("Whether it has keys for all of its accounts at present.")
    scram_iterations = Attribute("The iteration count of most accounts, to make up unknown ones with.")

    def scram_keys(username: str, salt: bytes) -> Answer[ScramKeys | None]:
        """The keys of an account.

        :param salt: to be used where only the clear password is kept.
        :return: ``None`` if there is no such account, or none with keys.
        :raise TemporarilyUnavailable: if that cannot be told.
        """


class IDecoy(Interface):
    """Optional, for a checker: makes an unknown account look like a wrong password."""

    def decoy(credentials: IUsernamePassword) -> Answer[None]:
        """Spend the time that verifying a wrong password would have taken."""


class IPasswordMark(Interface):
    """Optional, for a checker: tells when a password is another one, so that old sessions end."""

    def password_mark(account: str) -> Answer[str]:
        """What is stored of the password, which goes no further than to be hashed; ``""``: it does not know.

        :raise TemporarilyUnavailable: if it cannot tell just now.
        """
