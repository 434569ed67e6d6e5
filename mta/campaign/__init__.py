"""Campaigns: one message, or several to find the best, for everybody on lists and in segments.

What may go when is computed apart from what is kept and sent: :mod:`~mta.campaign.states` has the states,
:mod:`~mta.campaign.pace` the throttle and the spread, :mod:`~mta.campaign.schedule` the time zones,
:mod:`~mta.campaign.split` who gets which variant, :mod:`~mta.campaign.statistics` and
:mod:`~mta.campaign.verdict` what a test has shown.
"""
