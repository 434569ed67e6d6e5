"""From a template and data to a message's subject, text and HTML.

Pure values (:mod:`~mta.template.bundle`), Jinja2 in a sandbox (:mod:`~mta.template.environment`),
one rendering (:mod:`~mta.template.rendering`), and processes in which that happens
(:mod:`~mta.template.child`, :mod:`~mta.template.pool`).

**Why processes.**  A template is a program of a stranger's.  Jinja's sandbox keeps it from what is
not its business, but not from taking time and memory: nested loops, ``'x' * 10 ** 9``,
``'%999999999d'|format(1)``, huge integers.  Counting steps in the generated code sees the first of
these and none of the others, since they are one step of C.  A process can be stopped by the kernel
whatever it does: a limit on memory, and a timer of processor time that first raises an exception, so
that the line is told, and soon after ends the process; a busy machine does not make it run out.  It
also has an interpreter lock of its own, so that rendering and receiving go on side by side.
"""
