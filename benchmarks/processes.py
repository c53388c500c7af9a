"""A measurement in a process of its own."""

import json
import subprocess
import sys


def measured(module: str, load: str, patience: float) -> dict[str, float] | str:
    """The figures that a fresh interpreter running *module* comes to under *load*; else why there are none."""
    command = [sys.executable, "-m", module, load]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=patience)
    except subprocess.TimeoutExpired as error:
        return f"not over after {error.timeout:.0f} s"
    if done.returncode != 0 or not done.stdout.strip():
        errors = [line.strip(" |+-") for line in done.stderr.splitlines() if line.strip(" |+-")]
        return (errors[-1] if errors else f"ended with {done.returncode}")[:160]
    said = json.loads(done.stdout.strip().splitlines()[-1])
    if "missing" in said:
        return str(said["missing"])
    return {str(metric): float(figure) for metric, figure in said["figures"].items()}
