"""The makers of schedules, one file each: ``golden/balancer.py`` chooses among them.

Every maker divides a budget of multipliers over the units of a plan.  Widths are powers of two, so
that a beat of one unit is a whole number of beats of another.
"""
