"""Sequences: mail that reacts.  A definition is data, the engine is pure, and timers outlive the server.

A contact enters a sequence by a trigger, goes from step to step, and leaves at the end, by an exit, or
because nothing may be sent to it any more.  Where it is stands in one row with the instant at which it
goes on; what a step wants sent is written in the same transaction, under the queue id that the message
will have.
"""
