"""DMARC (RFC 9989): does the author's domain stand behind this message, and what does it ask for if not?

:mod:`~mta.dmarc.author` finds the author's domain in the header section, :mod:`~mta.dmarc.record`
reads what domains publish, :mod:`~mta.dmarc.discovery` walks up the DNS for it, and
:mod:`~mta.dmarc.evaluation` holds what SPF and DKIM have found against it.  All of this is pure:
it asks for records of the DNS, and is handed answers.
"""
