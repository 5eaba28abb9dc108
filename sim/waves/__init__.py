"""Waveforms that read themselves: the dump of a run, a GTKWave view of it, and its timeline.

:mod:`~sim.waves.signals` says what there is to see, :mod:`~sim.waves.dump` reads it from a dump,
:mod:`~sim.waves.gtkwave` writes the view, :mod:`~sim.waves.timeline` finds who worked when, and
:mod:`~sim.waves.draw` paints that.
"""
