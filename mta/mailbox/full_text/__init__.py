"""What messages say, so that it is found.

Words of header and text parts are decoded (:mod:`~mta.mailbox.full_text.text`) and stand in an index of their
own (:mod:`~mta.mailbox.full_text.index`), which follows the folders that people look at
(:mod:`~mta.mailbox.full_text.texts`).
"""
