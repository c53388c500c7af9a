"""The critic: notices that a run has stalled, asks an escalator what to do about it, and ends it when time is up.

What is decided: :mod:`longrun.critic.decision`. The states and the one table: :mod:`longrun.critic.states`. The machine
of one attempt: :mod:`longrun.critic.watch`. Ready-made escalators: :mod:`longrun.critic.escalators`. The settings, and
how an escalator is asked: :mod:`longrun.critic.critic`. The runner drives all of it; nothing here waits on its own.
"""
