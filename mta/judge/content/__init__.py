"""Rules about content: header fields, and names, types and sizes of attachments.

:mod:`~mta.judge.content.parts` finds the parts of a message as its octets come,
:mod:`~mta.judge.content.rules` says which rule fits, and
:mod:`~mta.judge.content.judge` is the judge of kind ``content``.
"""
