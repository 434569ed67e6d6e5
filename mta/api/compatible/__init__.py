"""Calls of other mail services' APIs, for applications that were written for those.

:mod:`~mta.api.compatible.postmark` and :mod:`~mta.api.compatible.sendgrid` are pure: from a foreign
request to :class:`~mta.api.v1.message_models.SendMessage`, and from our errors to foreign ones.  What
comes out goes the way of ``POST /v1/messages``, with the same keys, scopes and limits; there is no
other way to the intake.
"""
