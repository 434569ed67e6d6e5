"""What programs ask the server over HTTP.

:mod:`~mta.api.control` is for the ``mta`` command and others on this machine:
it listens on a UNIX socket in the state directory, and whoever may open that
may do everything.  :mod:`~mta.api.health` answers load balancers.  Questions
that read a disk are put to a reader in a thread; acts go to the queue's
manager (:class:`~mta.interfaces.IQueue`), which records each as an event.
Answers are JSON; what went wrong is a problem document (RFC 9457,
:mod:`~mta.api.problem`).
"""
