"""How often each trouble comes, and what is told of a storm."""

from tests.orchestrator.inbox.crash.storm import Storm

ON_A_FILE = {"kill_worker": 5, "stop_worker": 5, "end_worker": 2, "kill_producer": 2, "stop_producer": 2}

ON_A_SERVER = ON_A_FILE | {
    "cut_one": 4, "cut_all": 2, "kill_backend": 2, "crash_server": 2, "restart_server": 1, "kill_server": 1,
    "freeze_server": 2,
}  # fmt: skip


def told(storm: Storm) -> str:
    """The figures of *storm*."""
    return "\n".join(
        f"{name}: {dict(sorted(counted.items(), key=str))}"
        for name, counted in (
            ("troubles", storm.done),
            ("exit codes", storm.codes),
            ("runs", storm.trail().counts()),
            ("logged", storm.logged()),
        )
    )
