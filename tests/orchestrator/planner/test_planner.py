"""Specs x tenants -> units, and everything that is refused before anything runs."""

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.contracts import Module, WorkerSpec
from orchestrator.planner import PlanError, Planner


def refused(*modules):
    """The problems of a plan of *modules*."""
    with pytest.raises(PlanError) as caught:
        Planner({module.name: module for module in modules}).plan()
    return caught.value.problems


def test_units_are_phase_by_phase_spec_major_and_tenant_minor(domain):
    """Every tenant of one spec stands before the next spec; global specs come last in their phase."""
    module = domain.Listed(
        preflight_list=[domain.preflight("a"), domain.preflight("b")],
        worker_list=[domain.worker("c")],
        global_preflight_list=[domain.global_preflight("d")],
        global_worker_list=[domain.global_worker("e")],
    )

    plan = Planner({"repositories": module}).plan()

    assert [str(unit.id) for unit in plan] == [
        "preflight:a:acme/shop",
        "preflight:a:acme/site",
        "preflight:b:acme/shop",
        "preflight:b:acme/site",
        "preflight:d",
        "worker:c:acme/shop",
        "worker:c:acme/site",
        "worker:e",
    ]
    assert plan.preflights + plan.workers == plan.units


def test_two_tenant_types_stand_side_by_side(domain):
    """A second module brings its own tenants, with nothing else to change."""
    one = domain.Listed(worker_list=[domain.worker("issue-poller")])
    two = domain.Listed(name="organisations", tenant_list=["acme"], worker_list=[domain.worker("member-poller")])

    plan = Planner({"repositories": one, "organisations": two}).plan()

    assert [(unit.module, unit.id.tenant) for unit in plan] == [
        ("repositories", "acme/shop"),
        ("repositories", "acme/site"),
        ("organisations", "acme"),
    ]


def test_one_identity_from_two_modules_is_refused_once_and_names_both(domain):
    """However many tenants they share, two declarations make one problem."""
    one = domain.Listed(name="one", worker_list=[domain.worker()])
    two = domain.Listed(name="two", worker_list=[domain.worker()])

    (problem,) = refused(one, two)

    assert "worker:poller:acme/shop and 1 more is declared twice" in problem
    assert "'one'" in problem
    assert "'two'" in problem


def test_a_tenant_cannot_take_the_identity_of_another_resource(domain):
    """A tenant whose text looks like the rest of an identity stays a tenant."""
    module = domain.Listed(
        tenant_list=["b:c", "c"], worker_list=[domain.worker("a"), domain.worker("a.b")], global_worker_list=[]
    )

    plan = Planner({"repositories": module}).plan()

    assert len({str(unit.id) for unit in plan}) == 4


@pytest.mark.parametrize(
    ("tenant", "why"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("acme/shop ", "blanks around it"),
        ("acme\nworker:x", "control character (U+000A)"),
        ("acme\x1b[2J", "control character (U+001B)"),
        ("a\u202eb", "text direction control (U+202E)"),
        ("a\ud800b", "lone surrogate"),
        ("a\u2028b", "line separator"),
        ("x" * 201, "201 characters"),
        (["acme"], "cannot be hashed"),
    ],
)
def test_a_tenant_that_cannot_be_named_is_refused_with_the_reason(domain, tenant, why):
    """The message names module, tenant and reason, and can be printed anywhere."""
    (problem,) = refused(domain.Listed(tenant_list=[tenant], worker_list=[domain.worker()]))

    assert "module 'repositories'" in problem
    assert why in problem
    assert problem.isprintable()


@pytest.mark.parametrize("tenant", ["x" * 200, "Ünïted/städte", "a:b:c", "می‌خواهم"])
def test_any_other_text_names_a_tenant(domain, tenant):
    """Colons, other scripts, joiners and 200 characters are fine."""
    plan = Planner({"m": domain.Listed(tenant_list=[tenant], worker_list=[domain.worker()])}).plan()

    assert [unit.id.tenant for unit in plan] == [tenant]


class Wordless:
    """A tenant whose str() is no text."""

    def __str__(self):
        return 3


def test_a_tenant_whose_str_fails_is_one_clear_problem(domain):
    """Its class is named."""
    (problem,) = refused(domain.Listed(tenant_list=[Wordless()], worker_list=[domain.worker()]))

    assert "Wordless" in problem
    assert "TypeError" in problem


def test_a_tenant_listed_twice_is_refused(domain):
    """Two objects with one text are one tenant."""
    (problem,) = refused(domain.Listed(tenant_list=["a", "a"], worker_list=[domain.worker()]))

    assert "tenant 'a' is listed twice" in problem


def test_tenant_specs_without_tenants_are_refused_with_the_remedy(domain):
    """A forgotten tenant list does not start a service that does nothing."""
    (problem,) = refused(domain.Listed(tenant_list=[], worker_list=[domain.worker("issue-poller")]))

    assert "issue-poller" in problem
    assert "tenants_optional = True" in problem


def test_a_module_may_declare_that_it_starts_without_tenants(domain):
    """By an attribute, or by watching for them."""

    @dataclass
    class Optional(domain.Listed):
        tenants_optional = True

    @dataclass
    class Watching(domain.Listed):
        async def watch(self):
            yield None

    for kind in (Optional, Watching):
        module = kind(tenant_list=[], worker_list=[domain.worker()])

        assert len(Planner({"repositories": module}).plan()) == 0


def test_a_module_with_global_specs_needs_no_tenants(domain):
    """Global work multiplies by nothing."""
    module = domain.Listed(tenant_list=[], global_worker_list=[domain.global_worker()])

    assert [str(unit.id) for unit in Planner({"repositories": module}).plan()] == ["worker:explainer"]


async def _async_spec():
    return None


@pytest.mark.parametrize(
    ("declarer", "why"),
    [
        (lambda domain: domain.Declares(ValueError("interval is 0")), "task_spec() raised ValueError: interval is 0"),
        (lambda domain: domain.Declares(None), "task_spec() returned NoneType None; return a WorkerSpec"),
        (lambda domain: domain.preflight(), "task_spec() returned PreflightSpec"),
        (lambda domain: domain.global_worker(), "return a WorkerSpec"),
        (lambda domain: domain.worker().spec, "WorkerSpec, which has no task_spec()"),
        (lambda domain: domain.Declares, "which is a class, not an object"),
        (lambda domain: domain.Declares(_async_spec()), "task_spec() is an async function"),
    ],
)
def test_what_declares_no_worker_is_refused_with_module_and_class(domain, declarer, why):
    """A wrong declaration is one problem that says where it is."""
    problems = refused(domain.Listed(worker_list=[declarer(domain)]))

    assert len(problems) == 1
    assert "module 'repositories'" in problems[0]
    assert "workers() gives" in problems[0]
    assert why in problems[0]


@pytest.mark.parametrize("answer", [None, "acme", 3])
def test_a_list_that_is_none_is_refused(domain, answer):
    """A text is no list of one-letter tenants."""
    (problem, *_) = refused(domain.Listed(tenant_list=answer, global_worker_list=[domain.global_worker()]))

    assert "tenants() returned" in problem


def test_async_tenants_are_refused(domain):
    """Planning does no I/O."""

    class Asynchronous(domain.Listed):
        async def tenants(self):
            return ["a"]

    (problem,) = refused(Asynchronous(worker_list=[domain.worker()]))

    assert "tenants() is an async function" in problem


class Duck:
    """Not a module, but for its name."""

    name = "duck"


def test_what_is_no_module_is_refused_with_what_it_lacks():
    """The remedy is to subclass Module."""
    (problem,) = refused(Duck())

    assert "it has no preflights(), global_preflights()" in problem
    assert "subclass orchestrator.contracts.Module" in problem


@pytest.mark.parametrize("name", ["", "Upper", "a b", "a:b", "-a", "x" * 65, 3, None])
def test_a_module_name_has_a_shape(domain, name):
    """It stands in logs, metrics and commands."""
    problems = refused(domain.Listed(name=name, worker_list=[domain.worker()]))

    assert all("name" in problem for problem in problems)
    assert len(problems) == 2


def test_a_class_in_place_of_a_module_is_refused(domain):
    """A forgotten Singleton in the container."""
    with pytest.raises(PlanError, match="it is a class, not a module"):
        Planner({"repositories": domain.Listed}).plan()


def test_all_problems_are_told_at_once(domain):
    """A user mends them in one go."""
    module = domain.Listed(
        tenant_list=["", "a", "a"], worker_list=[domain.worker(), domain.worker(), domain.Declares(None)]
    )

    problems = refused(module)

    assert len(problems) == 4


def test_many_problems_are_counted_and_not_poured_out(domain):
    """The text stays readable; the data is complete."""
    module = domain.Listed(tenant_list=[f" {number}" for number in range(1000)], worker_list=[domain.worker()])

    with pytest.raises(PlanError, match="and 950 more") as caught:
        Planner({"repositories": module}).plan()

    assert len(caught.value.problems) == 1000


def test_the_plan_is_printed_and_is_json(domain):
    """Nothing set is a dash, or null."""
    module = domain.Listed(
        tenant_list=["acme/shop"],
        preflight_list=[domain.preflight(timeout=5)],
        worker_list=[domain.worker(interval=0.5, gate="token")],
    )

    plan = Planner({"repositories": module}).plan()

    assert str(plan).splitlines() == [
        "PHASE      RESOURCE   TENANT     MODULE        INTERVAL  TIMEOUT  STALL  SCOPE   GATE",
        "preflight  validator  acme/shop  repositories  -         5 s      -      -       -",
        "worker     poller     acme/shop  repositories  0.5 s     -        -      tenant  token",
    ]
    shown = json.loads(json.dumps(plan.to_json()))
    assert [unit["id"] for unit in shown["units"]] == [str(unit.id) for unit in plan]
    assert shown["units"][1]["interval"] == 0.5
    assert shown["policies"]["preflight"]["unknown"] == "permanent"
    assert shown["policies"]["worker"]["unknown"] == {"first": 30, "longest": 300}


def test_a_tenant_that_joins_gets_the_units_it_would_have_had(domain):
    """The same specs, in the same order; global specs are not repeated."""
    module = domain.Listed(
        preflight_list=[domain.preflight()],
        worker_list=[domain.worker()],
        global_worker_list=[domain.global_worker()],
    )
    plan = Planner({"repositories": module}).plan()

    units = plan.units_of("repositories", "acme/new")

    assert [str(unit.id) for unit in units] == ["preflight:validator:acme/new", "worker:poller:acme/new"]


def test_a_tenant_that_joins_is_checked_like_the_others(domain):
    """A watched tenant may have any text; an unknown module is named."""
    plan = Planner({"repositories": domain.Listed(worker_list=[domain.worker()])}).plan()

    with pytest.raises(PlanError, match="control character"):
        plan.units_of("repositories", "a\nb")
    with pytest.raises(PlanError, match="there is no module 'organisations'; the plan has repositories"):
        plan.units_of("organisations", "a")


def test_planning_asks_each_module_once_and_runs_nothing(domain):
    """No lookup, no work, no watch."""
    module = domain.Listed(preflight_list=[domain.preflight()], worker_list=[domain.worker()])

    Planner({"repositories": module}).plan()

    assert module.lookups == []


def test_no_modules_make_an_empty_plan():
    """Whether that is a mistake is for the service to say."""
    assert len(Planner({}).plan()) == 0


class Anything(Module):
    """A module with whatever tenants and one worker."""

    name = "anything"

    def __init__(self, tenants, worker):
        self._tenants, self._worker = tenants, worker

    def tenants(self):
        return self._tenants

    def workers(self):
        return [self._worker]


@given(tenants=st.lists(st.text() | st.integers() | st.binary() | st.lists(st.integers())))
def test_any_tenants_make_distinct_units_or_one_plan_error(tenants):
    """Never a traceback of another kind, never two units of one text."""

    class Polls:
        def task_spec(self):
            async def work(tenant):
                """Nothing."""

            return WorkerSpec("poller", 1, work)

    try:
        plan = Planner({"anything": Anything(tenants, Polls())}).plan()
        named = len({str(unit.id) for unit in plan}) == len(tenants)
    except PlanError as error:
        named = bool(error.problems)

    assert named
