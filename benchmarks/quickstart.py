"""The README's quickstart as a whole process: ``python benchmarks/quickstart.py``."""

import re
import subprocess
import sys
import time
from pathlib import Path

import harness


def main() -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    match = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    assert match is not None, "the README has no quickstart"
    started = time.perf_counter()
    printed = subprocess.run(
        [sys.executable, "-c", match[1]], check=True, capture_output=True, text=True
    ).stdout
    seconds = time.perf_counter() - started
    before, after = map(float, re.findall(r"\d+\.\d+", printed))
    harness.save(
        "quickstart",
        "python benchmarks/quickstart.py",
        seconds=seconds,
        return_before_adaptation=before,
        return_after_adaptation=after,
        num_test_tasks=100,
    )


if __name__ == "__main__":
    main()
