"""The baseline: what is done about each category of failure when no rule of the task speaks."""

from dataclasses import dataclass, field

from longrun.backoff import Backoff, exponential
from longrun.durations import retries, seconds
from longrun.failure.category import Category, Failure
from longrun.failure.classify import Classifier, InfraClassifier, classify

#: No hint makes a task wait longer than this at a time: an hour, the longest window of the usual rate limits.
HINT_CAP = 3600.0


@dataclass(frozen=True, slots=True)
class Policy:
    """How one category is retried: the curve of its waits, and how often (None: without limit)."""

    backoff: Backoff
    retries: int | None = None

    def __post_init__(self) -> None:
        if not callable(self.backoff):
            raise ValueError(f"Policy.backoff is {self.backoff!r}; give a curve such as backoff.exponential(2, 120)")
        retries(self.retries, "Policy.retries")


def _node() -> Policy:
    return Policy(exponential(2, 120))


def _service() -> Policy:
    return Policy(exponential(5, 300))


def _degraded() -> Policy:
    return Policy(exponential(30, 300))


@dataclass(frozen=True, slots=True)
class Baseline:
    """A policy for each category. The defaults keep a worker alive; ``degraded=None`` makes UNKNOWN permanent.

    *classify*: the application's own classifier, asked before the capabilities. *hint_cap*: a wait hint above it waits
    the cap and tries again. *capabilities*: the step that reads what errors say of themselves.
    """

    node: Policy = field(default_factory=_node)
    service: Policy = field(default_factory=_service)
    degraded: Policy | None = field(default_factory=_degraded)
    classify: Classifier | None = None
    hint_cap: float = HINT_CAP
    capabilities: Classifier = field(default_factory=InfraClassifier)

    def __post_init__(self) -> None:
        for name in ("node", "service"):
            if not isinstance(getattr(self, name), Policy):
                raise ValueError(
                    f"Baseline.{name} is {getattr(self, name)!r}; give a Policy: without one its failures would be "
                    "retried without a wait"
                )
        if self.degraded is not None and not isinstance(self.degraded, Policy):
            raise ValueError(
                f"Baseline.degraded is {self.degraded!r}; give a Policy, or None to make UNKNOWN permanent"
            )
        if self.classify is not None and not callable(self.classify):
            raise ValueError(f"Baseline.classify is {self.classify!r}; give a callable (exc) -> Failure | None")
        if not callable(self.capabilities):
            raise ValueError(f"Baseline.capabilities is {self.capabilities!r}; give a callable (exc) -> Failure | None")
        object.__setattr__(self, "hint_cap", seconds(self.hint_cap, "Baseline.hint_cap"))

    def failure(self, error: BaseException) -> Failure:
        """What *error* is."""
        return classify(error, self.classify, self.capabilities)

    def policy(self, category: Category) -> Policy | None:
        """How *category* is retried; None: it is not."""
        if category is Category.NODE:
            return self.node
        if category is Category.SERVICE:
            return self.service
        return self.degraded if category is Category.UNKNOWN else None
