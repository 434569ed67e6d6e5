"""The pages for people, under ``/dashboard/`` on the HTTP listener.

A module is called after its noun, and its class declares its pages once (:class:`~mta.dashboard.page.Page`):
method, path, who may open it, what its query and form look like.
:class:`~mta.dashboard.application.DashboardApplication` answers by them: it knows who is signed in, checks
that a form came from a page of ours, asks before something is destroyed, and shows what went wrong.

HTML is made of the templates in ``pages/`` (Jinja2, always escaped); style and scripts are in ``assets/``.
Every page works without a script; scripts make some of it live.  ``docs/guides/dashboard.rst`` tells how
to add a page.
"""
