"""What mail programs ask, so that a person types nothing but an address and a password.

:mod:`~mta.client_setup.offer` finds out from the configuration what is offered; Thunderbird
(:mod:`~mta.client_setup.mozilla`), Outlook (:mod:`~mta.client_setup.outlook`) and the programs of Apple
(:mod:`~mta.client_setup.apple`) each want it as a document of their own, others as records of the DNS
(:mod:`~mta.client_setup.records`).  :mod:`~mta.client_setup.reception` knows who asks by the path.  All of it
is pure, and tells of domains only: nobody learns which accounts there are.
"""
