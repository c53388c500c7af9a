"""GCRA, the generic cell rate algorithm (ITU-T I.371): a token bucket kept as one instant. Pure arithmetic.

The state is the *theoretical arrival time* of the next call: when it would come if all calls kept the exact distance.
A call may come ahead of that by *tolerance*, which is the burst without its first token.
"""

from dataclasses import dataclass

#: Seconds by which a sum of floats, or a timer, may bring a call ahead of its instant.
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Gcra:
    """One token each *interval* seconds, at most *burst* of them kept."""

    interval: float
    burst: int

    @property
    def tolerance(self) -> float:
        """How far ahead of its theoretical arrival a call may come."""
        return (self.burst - 1) * self.interval

    def seen(self, arrival: float, now: float) -> float:
        """*arrival* as it is to be remembered at *now*: the bucket does not overflow, and the past is forgotten.

        The next token is never more than one interval away: an *arrival* further ahead was written by a clock that has
        gone back since, and would be waited for in vain.
        """
        return min(max(arrival, now), now + self.burst * self.interval)

    def wait(self, arrival: float, now: float, before: int = 0) -> float:
        """Seconds until the token of a call with *before* calls before it; 0.0 when there is one now."""
        ahead = self.seen(arrival, now) + before * self.interval - self.tolerance - now
        return ahead if ahead > ROUNDING else 0.0

    def take(self, arrival: float, now: float) -> float:
        """The theoretical arrival that follows when a call takes a token at *now*; only when :meth:`wait` is 0."""
        return self.seen(arrival, now) + self.interval

    def tokens(self, arrival: float, now: float) -> int:
        """How many calls could start now, back to back."""
        return int((now + self.burst * self.interval - self.seen(arrival, now) + ROUNDING) / self.interval)
