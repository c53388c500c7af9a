"""What the sandbox holds when it starts: five repositories, ten issues and two pull requests.

The ten texts differ in kind (bug, feature, question, documentation), in the parts they lack (steps to reproduce,
version, expected behaviour) and in their likeness to one another, so that an explainer has something to find.
"""

from dataclasses import dataclass

REQUIRED_LABEL = "explain"


@dataclass(frozen=True)
class Draft:
    """An issue before it has a number. *hours_ago* is its age when the world begins; *body* may be None."""

    repository: str
    title: str
    body: str | None
    labels: tuple[str, ...] = ()
    user: str = "mira"
    hours_ago: int = 0
    pull_request: bool = False


REPOSITORIES: tuple[tuple[str, str], ...] = (
    ("harbour/harbour-api", "The booking API of the Harbour platform"),
    ("harbour/harbour-web", "The web front end of the Harbour platform"),
    ("harbour/docs", "Guides and reference of the Harbour platform"),
    ("tidewater/queue", "A small durable message queue"),
    ("tidewater/metrics-agent", "Ships host metrics to a collector"),
)

COMPLETE_BUG = Draft(
    "harbour/harbour-api",
    "Login times out when the request goes through a proxy",
    """\
### Steps to reproduce
1. Start the server with `HTTPS_PROXY=http://proxy.internal:3128`.
2. Run `harbour login --user demo`.
3. Wait about thirty seconds.

### Expected behaviour
The login succeeds within a second, as it does without the proxy.

### Actual behaviour
`TimeoutError: login did not answer within 30s`; the proxy's log shows no request at all.

### Version
harbour-api 4.2.1, Python 3.12.3, Debian 12
""",
    ("bug", "explain"),
    "mira",
    240,
)

BUG_WITHOUT_STEPS = Draft(
    "harbour/harbour-api",
    "Crash in the invoice export since the last upgrade",
    """\
Since we upgraded to version 4.3.0 the invoice export crashes now and then:

```
Traceback (most recent call last):
  File "harbour/export/invoice.py", line 88, in render
    total = sum(line.amount for line in lines)
TypeError: unsupported operand type(s) for +: 'int' and 'NoneType'
```

Expected: the export writes the PDF, or says which line has no amount.
""",
    ("bug", "explain"),
    "jonas",
    216,
)

QUESTION = Draft(
    "harbour/harbour-api",
    "How do I rotate the signing key without logging everybody out?",
    """\
We have to rotate the key that signs session tokens every ninety days. Is there a way to accept the old key and the
new key for a while? I found `SIGNING_KEY` in the settings but nothing about a second one. What do you recommend?
""",
    ("question", "explain"),
    "priya",
    190,
)

BUG_WITHOUT_VERSION = Draft(
    "harbour/harbour-web",
    "Date picker shows the wrong month after going back",
    """\
**Steps to reproduce**
1. Open the booking form.
2. Choose 31 March in the date picker.
3. Press "previous month" once.

**Expected behaviour**
February is shown.

**Actual behaviour**
The picker jumps to 3 March, and the error `RangeError: invalid day` is in the console.
""",
    ("bug", "explain"),
    "lucia",
    170,
)

WITHOUT_LABEL = Draft(
    "harbour/harbour-web",
    "Raise the colour contrast of secondary buttons",
    """\
The grey text on secondary buttons has a contrast of 3.1:1. It would be nice to have at least 4.5:1, so that people
with weak sight can read it in sunlight.
""",
    ("accessibility",),
    "tomasz",
    150,
)

DOCUMENTATION = Draft(
    "harbour/docs",
    "Typo and outdated example in the getting started guide",
    """\
The page "Getting started" of the documentation still shows `harbour init --legacy`, an option that is gone. There is
also a typo in the second paragraph: "recieve" should be "receive". The link to the API reference is broken too.
""",
    ("documentation", "explain"),
    "wei",
    120,
)

FEATURE = Draft(
    "tidewater/queue",
    "Feature request: a dead letter queue for poisoned messages",
    """\
It would be great if a message that failed ten times went to a dead letter queue instead of being delivered again and
again. Please add a setting for the number of deliveries, and a command to put such messages back.

Our use case: one malformed message from a partner keeps a consumer busy the whole night.
""",
    ("enhancement", "explain"),
    "amara",
    96,
)

SIMILAR_FIRST = Draft(
    "tidewater/queue",
    "Consumer stops receiving messages after the broker restarts",
    """\
After a restart of the broker the consumer stays connected but receives no more messages until its process is
restarted by hand.

Steps to reproduce:
1. Start the broker and one consumer.
2. Restart the broker.
3. Publish a message.

Expected: the consumer reconnects and receives the message.

Version: tidewater-queue 2.0.4
""",
    ("bug", "explain"),
    "noor",
    72,
)

SIMILAR_SECOND = Draft(
    "tidewater/queue",
    "No messages are received once the broker has been restarted",
    """\
Our consumer hangs for ever when the broker restarts at night. It keeps its connection but no messages are received;
only a restart of the consumer process brings it back. We run tidewater-queue 2.0.4.
""",
    ("bug", "explain"),
    "erik",
    48,
)

EMPTY_BODY = Draft(
    "tidewater/metrics-agent", "Agent crashes on start with exit code 139", None, ("bug", "explain"), "sofia", 30
)

ISSUES: tuple[Draft, ...] = (
    COMPLETE_BUG,
    BUG_WITHOUT_STEPS,
    QUESTION,
    BUG_WITHOUT_VERSION,
    WITHOUT_LABEL,
    DOCUMENTATION,
    FEATURE,
    SIMILAR_FIRST,
    SIMILAR_SECOND,
    EMPTY_BODY,
)

PULL_REQUESTS: tuple[Draft, ...] = (
    Draft(
        "harbour/harbour-api",
        "Send the login request through the configured proxy",
        "Reads HTTPS_PROXY when the session is made. Fixes the login timeout.",
        ("explain",),
        "mira",
        24,
        pull_request=True,
    ),
    Draft("tidewater/metrics-agent", "Update the collector client to 1.9", None, ("dependencies",), "depbot", 12, True),
)
