"""Many personalised messages by one request: accepted whole, or each for itself.

What all copies have in common is made once (:mod:`~mta.batch.skeleton`); each copy is rendered and put
together beside the reactor (:mod:`~mta.batch.process`).
"""
