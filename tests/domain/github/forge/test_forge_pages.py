"""The pages behind html_url."""

import pytest


def test_html_url_leads_to_a_page_with_the_issue_and_its_comments(client):
    """Somebody who tries the sandbox can look at what was written."""
    path = "/repos/tidewater/queue/issues/1"
    client.post(f"{path}/comments", json={"body": "What the explainer says."})

    page = client.get(client.get(path).json()["html_url"])

    assert page.status_code == 200
    assert page.headers["content-type"] == "text/plain; charset=utf-8"
    assert page.text.startswith("tidewater/queue#1 [open] Feature request: a dead letter queue")
    assert "It would be great if a message" in page.text
    assert page.text.endswith("What the explainer says.\n")


def test_an_issue_without_text_and_a_pull_request_have_pages_too(client):
    """Nothing to read is said so."""
    pull = client.get("/repos/tidewater/metrics-agent/issues/2").json()

    page = client.get(pull["html_url"])

    assert "/pull/2" in pull["html_url"]
    assert "(no text)" in page.text


@pytest.mark.parametrize("path", ["/no/where/issues/1", "/tidewater/queue/issues/99", "/tidewater/queue/issues/x"])
def test_a_page_of_nothing_is_a_404(client, path):
    """In plain text, for a human."""
    page = client.get(path)

    assert (page.status_code, page.text) == (404, "No such issue.\n")


def test_looking_at_a_page_is_no_request_to_the_api(client, forge):
    """It is not logged and costs nothing."""
    client.get("/tidewater/queue/issues/1")

    assert forge.log() == []
    assert forge.window.used == 0
