"""SPF (RFC 7208): may this client send for this domain?

:mod:`~mta.judge.spf.macro` and :mod:`~mta.judge.spf.record` read what a domain publishes,
:mod:`~mta.judge.spf.evaluation` decides: it asks for records of the DNS and is handed answers.
These know nothing of a network.  :mod:`~mta.judge.spf.judge` asks the resolver, and says what is
to be done.
"""
