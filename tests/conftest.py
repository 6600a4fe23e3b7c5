import os
import shutil
import tempfile
from pathlib import Path

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")

# Most of the time goes into compilation, and many tests compile the same programs: the
# processes of one test run share them.
_RUN = os.environ.setdefault("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
_COMPILED = Path(tempfile.gettempdir()) / f"jaxmeta-tests-{_RUN}"
jax.config.update("jax_compilation_cache_dir", str(_COMPILED))


def pytest_sessionfinish(session):
    if not hasattr(session.config, "workerinput"):  # the last process to finish
        shutil.rmtree(_COMPILED, ignore_errors=True)


@pytest.fixture
def key():
    return jax.random.key(0)
