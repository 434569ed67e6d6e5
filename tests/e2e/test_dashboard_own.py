"""Pages for what applications have, in a real browser: templates, suppressions, webhooks, keys."""

from __future__ import annotations

from tests.e2e.dashboard import ROLES, DashboardScenario

HTML = """<style>h1 { color: #2b59c3 }</style><h1>Hello {{ name }}</h1>
{% for item in items %}<p>{{ item.title }}: {{ item.price }}</p>{% endfor %}"""


class OwnScenario(DashboardScenario):
    """By the administrator, for the tenant ``default``."""

    def test_template(self) -> None:
        """Made, mended, looked at with other data, sent as a test."""
        tab = self.signed_in(ROLES["administrator"])
        tab.open("/dashboard/templates").check("templates-empty")
        tab.open("/dashboard/templates/new").check("template-new")
        tab.fill(name="welcome", subject="Hello {{ name }", html=HTML).press("Save")
        tab.see("subject, line 1").check("template-wrong")
        tab.fill(subject="Hello {{ name }}").press("Save")
        tab.see("Version 1 of welcome is kept, and used.").check("template")
        frame = tab.page.frame_locator("iframe")
        frame.get_by_role("heading", name="Hello").wait_for()
        tab.fill(data='{"name": "Ann", "items": [{"title": "Tea", "price": "3.50"}]}').press("Look again")
        tab.page.frame_locator("iframe").get_by_text("Tea: 3.50").wait_for()
        tab.page.get_by_role("link", name="Send a test").click()
        tab.see("From").check("template-test")
        tab.fill(sender="shop@example.org", to="anna@example.org").press("Send")
        tab.see("A test is on its way to anna@example.org.")
        tab.open("/dashboard/templates").check("templates")
        self.server.wait_trace("default", "template put")

    def test_suppressions(self) -> None:
        """Put on the list by hand and by a file, and taken off again."""
        tab = self.signed_in(ROLES["administrator"])
        tab.open("/dashboard/suppressions").check("suppressions-empty")
        tab.open("/dashboard/suppressions/add").fill(addresses="nobody", note="asked by telephone")
        tab.press("Suppress").see("Something is not right yet").check("suppressions-add")
        tab.fill(addresses="ann@example.net bob@example.net").press("Suppress")
        tab.see("2 added.")
        tab.open("/dashboard/suppressions/import")
        content = b"email,reason\ncarl@example.net,bounce\nnobody,bounce\n"
        tab.page.locator("input[type=file]").set_input_files(
            {"name": "list.csv", "mimeType": "text/csv", "buffer": content}
        )
        tab.press("Import").see("Lines that cannot be used").check("suppressions-import")
        tab.open("/dashboard/suppressions").see("carl@example.net").check("suppressions")
        with tab.page.expect_download() as saved:
            tab.page.get_by_role("link", name="Export").click()
        self.assertEqual("suppressions.csv", saved.value.suggested_filename)
        tab.press("Send to ann@example.net again").see("Send to ann@example.net again?")
        tab.check("suppressions-ask").confirm("Lift the suppression")
        tab.see("Mail is sent to ann@example.net again.")

    def test_webhook(self) -> None:
        """Added, tried, and what the receiver said, which is nothing: our own network is never asked."""
        tab = self.signed_in(ROLES["administrator"])
        tab.open("/dashboard/webhooks").check("webhooks-empty")
        tab.open("/dashboard/webhooks/new").check("webhook-new")
        tab.fill(url="https://hooks.invalid/hooks").press("Add the endpoint")
        tab.see("it is shown only once").check("webhook-secret")
        tab.page.get_by_role("link", name="I have copied it").click()
        tab.see("Nothing here yet").check("webhook-empty").press("Send a test")
        tab.see("A test is on its way")
        # It says what came of it when it is loaded again.
        tab.find(tab.page.url, "The receiver did not take it").check("webhook-delivery")
        tab.open("/dashboard/webhooks").check("webhooks")
        tab.page.locator("main th a").first.click()
        tab.see("webhook.test").check("webhook")
        tab.press("Remove").confirm("Remove")
        tab.see("is removed.")

    def test_key(self) -> None:
        """Made, copied, replaced, revoked."""
        tab = self.signed_in(ROLES["administrator"])
        tab.open("/dashboard/keys").check("keys-empty")
        tab.open("/dashboard/keys/new").fill(name="shop").check("key-new").press("Make the key")
        tab.see("Copy it now").check("key-made")
        key = tab.page.locator("#secret").inner_text()
        self.assertRegex(key, r"^mk_\w{12}_\w{43}$")
        tab.open("/dashboard/keys").check("keys")
        self.assertNotIn(key, tab.page.content())
        tab.page.get_by_role("link", name="Replace shop").click()
        tab.see("The old one is good for").check("key-replace").press("Make the new key")
        tab.see("The key before is good for")
        tab.open("/dashboard/keys").press("Revoke shop").confirm("Revoke")
        tab.see("is revoked.")
