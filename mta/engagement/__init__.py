"""What recipients do with a message: open it, follow its links, unsubscribe.

Links of ours carry everything that they mean inside their signature (:mod:`~mta.engagement.links`),
so none of them can be bent to lead somewhere else, or to unsubscribe somebody else.  Who comes by
them is often no person (:mod:`~mta.engagement.visitor`), and is counted apart.  Pure.
"""
