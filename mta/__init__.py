"""mta: an event-driven mail transfer agent on Twisted, launched with ``twistd mta``.

A message goes one way: ``smtp`` receives it, ``intake`` has it judged and
routed, ``queue`` commits it before its 250, and ``deliver`` takes it to a
Maildir or another server.  ``docs/flow.rst`` follows one message through the
code; ``mta.server`` is the one place that knows how the parts are joined.
"""

__version__ = "0.1.0"
