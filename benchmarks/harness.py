"""What every benchmark shares: where its numbers come from, and where they go."""

import json
from pathlib import Path
from typing import Any

from jaxmeta import files, runs

RESULTS = Path(__file__).parent / "results"


def save(name: str, command: str, **numbers: Any) -> None:
    """Write ``results/NAME.json``: the numbers, the command, the versions, the device.

    Args:
        name: of the file.
        command: what to type to make it again.
        **numbers: what was measured.
    """
    RESULTS.mkdir(exist_ok=True)
    result = {
        "command": command,
        "device": runs.device(),
        "versions": runs.versions(),
        **numbers,
    }
    files.write_json(RESULTS / f"{name}.json", result)
    print(json.dumps(numbers, indent=2))
    print(f"written: {RESULTS / f'{name}.json'}")
