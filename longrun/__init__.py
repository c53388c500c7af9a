"""Longrun: resilient calls and tasks that run for ever."""
