"""Policies, each a judge of one thing, asked in order by the pipeline.

A session's question (connect, hello, mail, recipient, message) comes to :mod:`~mta.judge.pipeline`
with the :class:`~mta.interfaces.Facts` known so far.  Each judge of ``[[judge]]`` answers with a
:class:`~mta.model.verdict.Verdict`, and leaves what later ones need in ``Facts.results``:
:mod:`~mta.judge.spf` and :mod:`~mta.judge.dkim` say who stands behind a message,
:mod:`~mta.judge.arc` what servers before us knew of that, and :mod:`~mta.judge.dmarc` holds it
against the author's domain.  A verdict that refuses ends the round; of all others the pipeline makes
one, with the header fields, the authentication results and the evidence of each.

Judges are plugins of the seam ``IJudge``.  What they remember is in the ledger
(:class:`~mta.interfaces.PluginContext`), common to all workers.
"""
