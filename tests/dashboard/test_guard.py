"""Cookies, proofs in forms, and where a visitor may be sent."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mta.dashboard import guard


class ProofTests(SynchronousTestCase):
    """What a form brings."""

    def test_masked(self) -> None:
        """It differs each time, and is recognised each time."""
        wanted = guard.proof("cookie")
        some = {guard.masked(wanted) for _ in range(5)}
        self.assertEqual(5, len(some))
        self.assertTrue(all(guard.is_proved(one, "cookie") for one in some))

    def test_wrong(self) -> None:
        masked = guard.masked(guard.proof("cookie"))
        for given in (
            "",
            "x",
            masked[:-2],
            masked[:-2] + "é1",
            "zz" * 64,
            guard.masked(guard.proof("other")),
        ):
            self.assertFalse(guard.is_proved(given, "cookie"), given)
        self.assertFalse(guard.is_proved("", ""))
        self.assertFalse(guard.is_proved(guard.masked(guard.proof("")), ""))

    def test_origin(self) -> None:
        """What the browser says of where a form comes from."""
        hosts = {"mx.example.org:8025"}
        for origin, referrer, site, taken in (
            ("http://mx.example.org:8025", "", "", True),
            ("http://MX.example.org:8025", "", "same-origin", True),
            ("", "http://mx.example.org:8025/dashboard/queue", "", True),
            ("", "", "same-origin", True),
            ("", "", "", False),
            ("null", "", "", False),
            ("http://mx.example.org", "", "", False),
            ("http://evil.example", "http://mx.example.org:8025/", "", False),
            ("http://mx.example.org:8025", "", "cross-site", False),
            ("http://mx.example.org:8025", "", "same-site", False),
            ("http://[", "", "", False),
        ):
            self.assertEqual(
                taken, guard.is_from_here(origin, referrer, site, hosts), (origin, referrer, site)
            )


class PathTests(SynchronousTestCase):
    """After signing in."""

    def test_own(self) -> None:
        for path in ("/dashboard/", "/dashboard/queue?after=x", "/dashboard/messages?q=a%40b//c"):
            self.assertEqual(path, guard.own_path(path))

    def test_elsewhere(self) -> None:
        """Nobody is led away by a link that somebody else wrote."""
        for path in (
            "",
            "//evil.example/dashboard/",
            "https://evil.example/dashboard/",
            "/dashboard//evil.example",
            "/dashboard/\\evil.example",
            "/dashboard/../v1/messages",
            "/dashboard/sign-out",
            "/dashboard/x\r\nSet-Cookie: a=b",
            "/dashboard/é",
            "javascript:alert(1)",
            "/v1/messages",
        ):
            self.assertEqual(guard.HOME, guard.own_path(path), path)


class CookieTests(SynchronousTestCase):
    """What a browser keeps."""

    def test_clear(self) -> None:
        self.assertEqual(
            b"mta-session=x; Path=/; HttpOnly; SameSite=Lax", guard.cookie("session", "x", False)
        )

    def test_secure(self) -> None:
        self.assertEqual(
            b"__Host-mta-session=x; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=60",
            guard.cookie("session", "x", True, 60.0),
        )

    def test_said(self) -> None:
        """Words for the next page are believed only of us."""
        packed = guard.pack([("good", "Grüße <b>")], "key")
        self.assertEqual([("good", "Grüße <b>")], guard.unpack(packed, "key"))
        for text, key in (
            (packed, "other"),
            (packed[:-1], "key"),
            ("x" + packed, "key"),
            ("", "key"),
            (packed, ""),
        ):
            self.assertEqual([], guard.unpack(text, key))
        self.assertEqual([], guard.unpack("é.é", "key"))
