"""Policies, each a judge of one thing, asked in order by the pipeline.

:mod:`~mta.judge.pipeline` is what a session's questions reach; judges are
plugins of the seam ``IJudge``, named in ``[[judge]]``.
"""
