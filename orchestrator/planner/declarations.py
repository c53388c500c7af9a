"""What one module declares, read once and checked. Problems are collected, not raised: a user sees all of them."""

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from orchestrator.contracts.module import Module
from orchestrator.contracts.specs import (
    AnySpec,
    GlobalPreflightSpec,
    GlobalWorkerSpec,
    PreflightSpec,
    WorkerSpec,
    takes_run,
)
from orchestrator.planner.errors import PlanError
from orchestrator.planner.identity import PhaseName
from orchestrator.planner.resolution import Resolution
from orchestrator.planner.tenants import tenant_text
from orchestrator.planner.unit import Declaration

#: One service holds modules of different tenant types; each knows its own.
AnyModule: TypeAlias = Module[Any]

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class _Section:
    method: str
    phase: PhaseName
    spec: type[AnySpec]
    per_tenant: bool


#: In the order of the plan: within a phase, tenant specs come before global ones.
_SECTIONS = (
    _Section("preflights", "preflight", PreflightSpec, per_tenant=True),
    _Section("global_preflights", "preflight", GlobalPreflightSpec, per_tenant=False),
    _Section("workers", "worker", WorkerSpec, per_tenant=True),
    _Section("global_workers", "worker", GlobalWorkerSpec, per_tenant=False),
)


class Reading:
    """One module as it was read: its declarations, its tenants by text, and every problem found on the way."""

    def __init__(self, name: str, module: AnyModule) -> None:
        self.name = name
        self.module = module
        self.where = f"module {name!r} ({class_path(module)})"
        self.problems: list[str] = []
        self.declarations: tuple[Declaration, ...] = ()
        self.tenants: dict[str, object] = {}
        if self._shape_is_right():
            self.declarations = self._read_declarations()
            self.tenants = self._read_tenants()

    def tenant(self, tenant: object) -> str:
        """The text of *tenant*; PlanError when it cannot name one."""
        text, problem = tenant_text(tenant)
        if problem:
            raise PlanError([f"{self.where}: {problem}"])
        return text

    def _shape_is_right(self) -> bool:
        named = getattr(self.module, "name", None)
        if not _is_name(self.name):
            self.problems.append(
                f"{self.where}: the name it is registered under is no module name; use 1 to 64 of a-z 0-9 _ - "
                "starting with a letter, for example 'repositories'"
            )
        if isinstance(self.module, type):
            self.problems.append(f"{self.where}: it is a class, not a module; register providers.Singleton(...) of it")
            return False
        if not _is_name(named):
            self.problems.append(f"{self.where}: its name is {named!r}; set name = {_suggestion(self.name)!r} on it")
        needed = [section.method for section in _SECTIONS] + ["tenants", "resolve", "shutdown"]
        missing = [method for method in needed if not callable(getattr(self.module, method, None))]
        if missing:
            self.problems.append(
                f"{self.where}: it has no {', '.join(method + '()' for method in missing)}; "
                "subclass orchestrator.contracts.Module, which has a default for each"
            )
            return False
        return True

    def _read_declarations(self) -> tuple[Declaration, ...]:
        resolution = Resolution(self.module.resolve)
        found: list[Declaration] = []
        for section in _SECTIONS:
            for declarer in self._list_from(section.method):
                declaration = self._declaration(section, declarer, resolution)
                if declaration:
                    found.append(declaration)
        return tuple(found)

    def _declaration(self, section: _Section, declarer: object, resolution: Resolution) -> Declaration | None:
        path = class_path(declarer)
        where = f"{self.where}: {section.method}() gives {path}"
        wanted = section.spec.__name__
        task_spec = getattr(declarer, "task_spec", None)
        if isinstance(declarer, type) or not callable(task_spec):
            what = "is a class, not an object" if isinstance(declarer, type) else "has no task_spec()"
            self.problems.append(f"{where}, which {what}; give an object whose task_spec() returns a {wanted}")
            return None
        try:
            spec = task_spec()
            if isinstance(spec, section.spec):
                passes_run = takes_run(spec.work, int(section.per_tenant))
                asks = section.per_tenant and section.phase != "preflight" and self._resolves()
                return Declaration(
                    section.phase, spec, self.name, path, section.per_tenant, passes_run, asks, resolution
                )
        except Exception as error:  # noqa: BLE001 - a domain's own code may raise anything; it becomes one problem
            self.problems.append(f"{where}: task_spec() raised {type(error).__name__}: {error}")
            return None
        self.problems.append(f"{where}: task_spec() {_instead(spec)}; return a {wanted}")
        return None

    def _resolves(self) -> bool:
        """Whether the module has a ``resolve`` of its own; without one its tenants are complete as configured."""
        return getattr(self.module.resolve, "__func__", None) is not Module.resolve

    def _read_tenants(self) -> dict[str, object]:
        before = len(self.problems)
        tenants: dict[str, object] = {}
        for tenant in self._list_from("tenants"):
            text, problem = tenant_text(tenant)
            if problem:
                self.problems.append(f"{self.where}: {problem}")
            elif text in tenants:
                self.problems.append(f"{self.where}: tenant {text!r} is listed twice; list it once")
            else:
                tenants[text] = tenant
        if not tenants and len(self.problems) == before:
            self._check_none_is_meant()
        return tenants

    def _check_none_is_meant(self) -> None:
        specs = [declaration.spec.resource for declaration in self.declarations if declaration.per_tenant]
        declared = getattr(self.module, "tenants_optional", False) is True or self._watches()
        if specs and not declared:
            self.problems.append(
                f"{self.where}: {', '.join(specs)} would run for no tenant, because tenants() is empty; configure a "
                "tenant, or set tenants_optional = True on the module when that is meant"
            )

    def _watches(self) -> bool:
        watch = getattr(self.module, "watch", None)
        return watch is not None and getattr(watch, "__func__", watch) is not Module.watch

    def _list_from(self, method: str) -> Sequence[object]:
        try:
            answer: object = getattr(self.module, method)()
            if isinstance(answer, Sequence | set | frozenset) and not isinstance(answer, str | bytes):
                return tuple(answer)
        except Exception as error:  # noqa: BLE001 - a domain's own code may raise anything; it becomes one problem
            self.problems.append(f"{self.where}: {method}() raised {type(error).__name__}: {error}")
            return ()
        self.problems.append(f"{self.where}: {method}() {_instead(answer)}; return a list or a tuple")
        return ()


def class_path(value: object) -> str:
    """``package.module.Class`` of *value*, or of itself when it is a class."""
    kind = value if isinstance(value, type) else type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def _instead(answer: object) -> str:
    """What a method returned instead; a coroutine is closed, so that nothing complains later."""
    if inspect.iscoroutine(answer):
        answer.close()
        return "is an async function, but planning does no I/O and awaits nothing"
    return f"returned {type(answer).__name__} {ascii(answer)[:80]}"


def _is_name(name: object) -> bool:
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def _suggestion(name: object) -> str:
    return name if isinstance(name, str) and _is_name(name) else "repositories"
