"""Who gets nothing more: what the journal tells of bounces, complaints and unsubscribers.

The list itself is :mod:`mta.registry.suppressions`.
"""
