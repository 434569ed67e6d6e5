"""What signs posts to people: from the server's secret, until another takes its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from mta.registry.post_secrets import PostSecrets
from mta.registry.registry import direct
from mta.registry.secret import signing

NOW = 1_800_000_000.0


class PostSecretsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.state = Path(self.mktemp())
        self.state.mkdir()
        self.database = direct(self.state)
        self.addCleanup(lambda: self.database.close())
        self.secrets = PostSecrets(self.database, b"root")

    def done(self, work: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def test_first(self) -> None:
        """The same for all workers and after a restart, another for each tenant, none of them the root."""
        (one,) = self.done(self.secrets.of("shop"))
        (again,) = self.done(PostSecrets(self.database, b"root").of("shop"))
        (other,) = self.done(self.secrets.of("other"))
        (elsewhere,) = self.done(PostSecrets(self.database, b"another root").of("shop"))
        self.assertEqual(one, again)
        self.assertEqual(3, len({one.octets, other.octets, elsewhere.octets}))
        self.assertNotIn(one.text, repr(one))

    def test_rotated(self) -> None:
        """The one before signs until the overlap is over, also when another follows; others keep theirs."""
        (first,) = self.done(self.secrets.of("shop"))
        self.done(self.secrets.rotate("shop", NOW, 100.0))
        self.done(self.secrets.rotate("shop", NOW + 10, 1000.0))
        self.database.close()
        self.database = direct(self.state)
        kept = PostSecrets(self.database, b"root")
        third, second, old = self.done(kept.of("shop"))
        self.assertEqual(first.octets, old.octets)
        self.assertEqual((0.0, NOW + 1010, NOW + 100), (third.expires, second.expires, old.expires))
        some = [third, second, old]
        self.assertEqual([one.octets for one in some[:2]], signing(some, NOW + 101))
        self.assertEqual([third.octets], signing(some, NOW + 1011))
        self.assertEqual(1, len(self.done(kept.of("other"))))

    def test_at_once(self) -> None:
        """Without an overlap the one before is not even kept."""
        (first,) = self.done(self.secrets.of("shop"))
        (found,) = self.done(self.secrets.rotate("shop", NOW, 0.0))
        self.assertNotEqual(first.octets, found.octets)
