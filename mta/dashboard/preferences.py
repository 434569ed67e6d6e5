"""What a visitor has chosen: colours, and the tenant whose things are shown."""

from __future__ import annotations

from mta.dashboard import guard
from mta.dashboard.page import Answered, Form, Page, Redirect
from mta.dashboard.role import Right
from mta.dashboard.visit import Visit

#: A choice is kept for a year.
_YEAR = 365 * 86400.0


class Choice(Form):
    """The form; what is empty stays as it was."""

    theme: str = ""
    tenant: str = ""
    back: str = ""


class PreferencePages:
    """See the module."""

    def pages(self) -> list[Page]:
        """What there is."""
        return [
            Page("POST", "/dashboard/preferences", self.choose, Right.SIGNED_IN, "Preferences", form=Choice)
        ]

    async def choose(self, visit: Visit) -> Answered:
        """Keep it, in a cookie."""
        form: Choice = visit.form.value
        add = visit.request.responseHeaders.addRawHeader
        if form.theme in ("light", "dark", "auto"):
            theme = "" if form.theme == "auto" else form.theme
            add(b"set-cookie", guard.cookie("theme", theme, visit.secure, _YEAR))
        if form.tenant in visit.tenants:
            add(b"set-cookie", guard.cookie("tenant", form.tenant, visit.secure, _YEAR))
        return Redirect(guard.own_path(form.back))
