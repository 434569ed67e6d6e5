"""The last step from here: Maildir, relay, LMTP, pipe, webhook.

Each module holds one transport (:class:`~mta.interfaces.ITransport`) and its
kind.  The queue's manager hands over a :class:`~mta.interfaces.Delivery`, one
message and those of its recipients that go one way; the transport answers with
one :mod:`~mta.model.outcome` for each, and never raises for what the network
or the disk does.

Over the network: :mod:`~mta.deliver.relay` takes a connection from the
:mod:`~mta.deliver.connection_pool` of a next hop; where there is none,
:mod:`~mta.deliver.dialler` asks ``IExchangers`` for the hosts and opens one.  It
speaks through :mod:`mta.smtp.client_protocol`, and TLS is judged by
:mod:`~mta.deliver.relay_tls`.  :mod:`~mta.deliver.lmtp` is the same way to one
fixed server.  :mod:`~mta.deliver.webhook` posts to an application over HTTP
(:mod:`~mta.deliver.webhook_post`): :mod:`~mta.deliver.webhook_body` is what,
:mod:`~mta.deliver.webhook_signature` proves from whom, and
:mod:`~mta.deliver.webhook_answer` says what the answer means.

On this machine: :mod:`~mta.deliver.maildir` writes a batch of messages into
Maildirs in a thread (:mod:`~mta.deliver.maildir_store`, :mod:`~mta.deliver.maildir_batch`), and
:mod:`~mta.deliver.pipe` hands a message to a program, within
:mod:`~mta.deliver.pipe_limits`; :mod:`~mta.deliver.exit_status` says what its end
means.  Both put the fields of
:mod:`~mta.deliver.local_copy` on top.  :mod:`~mta.deliver.error` fails whom the
router could not place.
"""
