"""``kind = "reputation"``: what is known of a client adds up to a number.

:mod:`~mta.judge.reputation.lists` knows how block and allow lists of the DNS are asked
(RFC 5782), :mod:`~mta.judge.reputation.hello` what is wrong with a HELO, and
:mod:`~mta.judge.reputation.judge` asks, adds up, and says it to the pipeline.
"""
