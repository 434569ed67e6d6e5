"""Whom tenants write to: contacts, lists, who is on which and how they came there, and what they did.

One database for all workers (:mod:`~mta.audience.audience`); the first one who needs it makes it.  Every
noun has its tables, functions of a connection for whoever changes several nouns in one transaction, and a
store for whoever changes one.  The tenant comes first everywhere.
"""
