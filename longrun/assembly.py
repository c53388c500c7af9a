"""How options become the layers of a pipeline, and what is refused or warned of on the way."""

import warnings
from collections.abc import Iterable, Sequence
from random import Random

from longrun.errors import PipelineError
from longrun.loop import Loop
from longrun.observation import Observe
from longrun.option import ExtraAttempts, Layer, Option, Part, Site, Wrapper, flatten
from longrun.rule import BudgetOption, On, OnResult
from longrun.timed_loop import TimedLoop
from longrun.timeout import After


def assemble(options: Iterable[Option], name: str, rng: Random) -> tuple[Wrapper, ...]:
    """The layers of a pipeline, innermost first.

    All retry rules form one loop at the place of the first of them. A budget governs what stands below it. Listeners
    hear of attempts even when there is no rule: then each call is one attempt.
    """
    flat = flatten(options)
    rules = [option for option in flat if isinstance(option, On | OnResult)]
    listeners = tuple(option.listener for option in flat if isinstance(option, Observe))
    layers: list[Wrapper] = []
    budget: ExtraAttempts | None = None
    looped = False
    _check_budgets(flat)
    for option in flat:
        site = Site(name, listeners, rng, budget)
        if isinstance(option, BudgetOption):
            budget = option.budget
            layers.append(option)
        elif isinstance(option, Layer):
            layers.append(option.build(site))
        elif isinstance(option, Part):
            if not looped and (not rules or not isinstance(option, Observe)):
                layers.append(Loop(rules, site))
                looped = True
        elif callable(option):
            layers.append(option)
        else:
            raise PipelineError(
                f"{option!r} is no option; give longrun's options or an async callable (call) -> result"
            )
    _check_limits(layers)
    return tuple(reversed(_fused(layers)))


def _fused(layers: Sequence[Wrapper]) -> list[Wrapper]:
    """*layers*, outermost first, with a loop and the time limit directly below it as one."""
    fused: list[Wrapper] = []
    for layer in layers:
        if fused and type(fused[-1]) is Loop and isinstance(layer, After):
            fused[-1] = TimedLoop(fused[-1], layer)
        else:
            fused.append(layer)
    return fused


def refuse_owned(options: Iterable[Option]) -> None:
    """PipelineError for state that would be made anew for each call, and so protect nothing."""
    for option in flatten(options):
        if isinstance(option, Layer) and option.owned:
            raise PipelineError(
                f"{option.describe()} keeps its state in the pipeline that holds it, and do() makes one for each call; "
                "give it a name, or build a Pipeline once and call its do()"
            )


def _check_budgets(flat: Sequence[Wrapper | Part]) -> None:
    """A budget with nothing below it that makes extra attempts governs nothing."""
    idle: BudgetOption | None = None
    for option in flat:
        if isinstance(option, BudgetOption):
            idle = option
        elif isinstance(option, On | OnResult) or (isinstance(option, Layer) and option.spends):
            idle = None
    if idle is not None:
        raise PipelineError(
            f"{idle.describe()} governs nothing: no retry rule and no hedge stands below it; move it above them"
        )


def _check_limits(layers: Sequence[Wrapper]) -> None:
    """*layers* outermost first: no limit that can never fire, a warning for waits that never fit."""
    limit: float | None = None
    for layer in layers:
        if isinstance(layer, After):
            if limit is not None and layer.seconds >= limit:
                raise PipelineError(
                    f"timeout.after({layer.seconds:g}) can never fire inside timeout.after({limit:g}); "
                    "make the inner one shorter or leave it out"
                )
            limit = layer.seconds
        elif isinstance(layer, Loop) and limit is not None:
            _warn_of_waits(layer, limit)


def _warn_of_waits(loop: Loop, limit: float) -> None:
    for rule in loop.rules:
        first = rule.backoff(0, 0.0, Random(0))
        if first >= limit:
            warnings.warn(
                f"the first wait of retry rule {rule.name!r} is {first:.3g} s and never fits timeout.after({limit:g}): "
                "nothing will be retried; shorten the wait or raise the limit",
                stacklevel=5,
            )
