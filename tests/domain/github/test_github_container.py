"""The composition root: it fits together, opens, and closes again."""

from pathlib import Path

import pytest

from domain.github import Github
from domain.github.adapters.explainer_llm import OllamaExplainer, OpenAiExplainer
from domain.github.container import ChosenExplainer, GithubContainer
from domain.github.entities import Repository
from domain.github.settings import ExplainerSection, GithubSettings
from orchestrator.container import opened, wiring_problems
from orchestrator.settings import load


@pytest.fixture
def container(tmp_path: Path, database_url: str):
    """The container of a sandbox service with files and a database of its own."""
    values = {
        "github": {"repositories": ["tidewater/queue", "harbour/docs"], "min_interval": 0, "required_label": "explain"},
        "sandbox": {"enabled": True, "alive": False, "state_file": str(tmp_path / "var" / "forge.json")},
        "state": {"url": database_url},
    }
    return GithubContainer(settings=load(GithubSettings, values=values, environment={}))


def test_the_service_is_named_by_its_package():
    """``domain.github:Github``, loaded when asked for."""
    assert (Github.name, Github.settings, Github.container) == ("github", GithubSettings, GithubContainer)


def test_the_wiring_has_no_problems(container):
    """Every provider fits what it calls."""
    assert wiring_problems(container) == []


@pytest.mark.anyio
async def test_the_whole_application_explains_the_seeded_issues_of_the_sandbox(container, new_run):
    """From preflight to comment over the real parts: validate, resolve, poll, relay, explain."""
    async with opened(container) as modules:
        module = modules["repositories"]
        for shared in modules["inbox"].global_preflights():
            await shared.task_spec().work()
        for tenant in module.tenants():
            for preflight in module.preflights():
                await preflight.task_spec().work(tenant)
            resolved = await module.resolve(tenant)
            for worker in module.workers():
                await worker.task_spec().work(resolved, new_run())
        inbox, handler, github = container.inbox(), container.issue_explainer(), container.github()
        runs = (await inbox.list()).runs
        outcomes = [await handler(_delivery(new_run, run)) for run in runs]
        comments = await github.comments(Repository("tidewater", "queue"), 1, 1)

    assert [str(tenant) for tenant in module.tenants()] == ["tidewater/queue", "harbour/docs"]
    assert {outcome["outcome"] for outcome in outcomes} == {"commented"}
    assert len(outcomes) == 4
    assert "_Rule: " in comments.comments[-1].body


@pytest.mark.anyio
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_second_service_on_the_same_file_is_refused(container):
    """It would poll and comment beside the first."""
    async with opened(container):
        other = GithubContainer(settings=container.settings())
        with pytest.raises(Exception, match=r"state\.db"):
            async with opened(other):
                pass


@pytest.mark.anyio
@pytest.mark.parametrize(("kind", "kind_of_model"), [("ollama", OllamaExplainer), ("openai", OpenAiExplainer)])
async def test_the_chosen_explainer_asks_its_model(stub, reply, new_issue, kind, kind_of_model):
    """Opened and closed with the service."""
    stub.reply(reply(200, {"response": "Text", "choices": [{"message": {"content": "Text"}}]}))

    async with ChosenExplainer(ExplainerSection(kind=kind, endpoint=stub.url, model="small")) as explainer:
        explanation = await explainer.explain(new_issue(), [])

    assert explanation.by == f"{kind_of_model.dialect} model small"


def _delivery(new_run, run):
    import json

    return new_run(run.id, json.loads(run.payload))
