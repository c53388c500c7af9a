"""Odds: the probabilities of a refusal, from counts alone. Pure arithmetic."""

#: How much of the surplus of patience ``k - 1`` each priority has, low to critical: it sheds when fewer than 1/k of the
#: calls are accepted. With k = 2 that is below 67, 50, 33 and 20 per cent. Ours; normal is the published formula.
PATIENCE = (0.5, 1.0, 2.0, 4.0)

#: Which share of the way from "what the quantile allows" to "all" of the calls may be slow, high and critical. Ours.
TOLERANCE_HIGH, TOLERANCE_CRITICAL = 0.25, 0.5


def patience(k: float) -> tuple[float, ...]:
    """The K of each priority, for the K of normal calls; each above 1, so that a healthy service is never throttled."""
    return tuple(1.0 + (k - 1.0) * factor for factor in PATIENCE)


def throttled(requests: int, accepts: int, k: float, most: float) -> float:
    """Probability of refusing a call before it is sent: max(0, (requests - k accepts) / (requests + 1)), up to *most*.

    The client-side throttling of "Site Reliability Engineering" (Beyer and others, O'Reilly 2016), chapter 21,
    "Handling Overload". Requests refused here count as requests, so that the odds follow what the callers want.
    """
    return min(most, max(0.0, (requests - k * accepts) / (requests + 1)))


def tolerances(quantile: float) -> tuple[float, ...]:
    """Which share of the calls may be slow, for each priority, when the limit holds for this *quantile* of them."""
    allowed = 1.0 - quantile
    return (
        allowed / 2,
        allowed,
        allowed + quantile * TOLERANCE_HIGH,
        allowed + quantile * TOLERANCE_CRITICAL,
    )


def slowed(calls: int, fast: int, tolerance: float, most: float) -> float:
    """Probability of refusing a call: 0 while at most *tolerance* of the calls are slow, growing from there to *most*.

    The share of slow calls is above 1 - q exactly when the latency at quantile q is above the limit, so no latency
    needs to be kept.
    """
    if not calls:
        return 0.0
    return min(most, max(0.0, ((calls - fast) / calls - tolerance) / (1.0 - tolerance)))
