"""SMTP and LMTP: sessions without I/O, and the Twisted protocols around them.

**Server.**  Octets come into :class:`~mta.smtp.protocol.SmtpProtocol`, a
``twisted.mail.smtp.ESMTP`` whose line framing is replaced by
:class:`~mta.smtp.session.ServerSession`: :mod:`~mta.smtp.states` is its table
of states, :mod:`~mta.smtp.grammar` and :mod:`~mta.smtp.parameters` read what
stands behind a command, :mod:`~mta.smtp.framing` the content behind DATA and
BDAT.  It knows no policy; an ``IReception`` answers its questions and an
``IAuthenticator`` runs SASL.  :class:`~mta.smtp.factory.SmtpFactory` makes the
protocols of one listener, :class:`~mta.smtp.connections.Connections` counts them.

**Client.**  The modules ``client*`` hold the sending side: a session that
takes an envelope and content and tells what the other side said to each
recipient, and the protocol that connects it to a host.
"""
