"""What became of the messages of tenants: an index over the journal, and what is new in it, live.

The journal is the only history.  Everything here is read out of it, may be thrown away, and is made
again from it.  Messages without a tenant are nobody's business here.
"""
