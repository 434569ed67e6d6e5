"""How fast, how small: our server beside a tuned Postfix, in turn, on the same machine.

:mod:`~bench.run` is the program.  :mod:`~bench.workload` has the work,
:mod:`~bench.ours` and :mod:`~bench.postfix` the servers that it is put on,
:mod:`~bench.processes` reads what it cost, :mod:`~bench.backlog` fills a queue.
"""
