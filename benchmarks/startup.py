"""What starting costs: ``import longrun`` and ``python -m orchestrator --help``, beside the bare interpreter.

    python -m benchmarks.startup [ROUNDS]

The commands take turns; each figure is a median, and the one that counts is the difference to the bare interpreter.
"""

import statistics
import subprocess
import sys
import time

COMMANDS = {
    "bare interpreter": ["-c", "pass"],
    "import longrun": ["-c", "import longrun"],
    "python -m orchestrator --help": ["-m", "orchestrator", "--help"],
}
BARS = {"import longrun": 40.0, "python -m orchestrator --help": 150.0}


def main() -> None:
    """Measure and print one line for each command."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds + 1):
        for name, arguments in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
            taken[name].append(1000 * (time.perf_counter() - start))
    bare = statistics.median(taken["bare interpreter"][1:])
    for name, figures in taken.items():
        median = statistics.median(figures[1:])  # the first round warms the caches
        bar = f"  (bar: {BARS[name]:.0f} ms over)" if name in BARS else ""
        print(f"{name:<32} {median:7.1f} ms  {median - bare:+7.1f} ms over bare{bar}")


if __name__ == "__main__":
    main()
