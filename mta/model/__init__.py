"""The words we use, as values: addresses, envelopes, replies, events, outcomes.

Everything here is pure and imports nothing of ours but its neighbours.  Every
other package may import it.  Data flows through as follows: an
:class:`~mta.model.envelope.Envelope` is built by a session from
:mod:`~mta.model.address` values, answered with :mod:`~mta.model.reply` values
from the :mod:`~mta.model.catalogue`, stored as a
:class:`~mta.model.message.Message`, delivered to an
:mod:`~mta.model.outcome`, and told as an :mod:`~mta.model.event`.
"""
