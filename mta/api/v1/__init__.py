"""The application API: HTTP with keys, for programs that send mail and follow it.

A module is called after its noun, and declares its routes once (:class:`~mta.api.v1.route.Route`):
method, path, scope, models, examples.  :class:`~mta.api.v1.application.Application` answers by
them; :mod:`~mta.api.v1.openapi` and :mod:`~mta.api.v1.reference` describe them.

A handler gets a :class:`~mta.api.v1.route.Call` whose tenant is known, whose body and query are
valid, and whose scope was checked.  It answers with a pydantic model, or a
:class:`~mta.api.v1.route.Response`; it refuses with :func:`~mta.api.v1.refusal.refusal`.
"""
