"""What the journal comes to: counts, rates and times by hour and day, by tenant, domain, tag and so on.

Events are folded into numbers as they are written, a few thousand at once and in a thread; up to which
event stands in the transaction of the numbers, so nothing is counted twice or left out, whoever dies
when.  All of it can be made again out of the journal, with equal numbers.
"""
