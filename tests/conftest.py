import gc
import os
import shutil
import tempfile
from pathlib import Path

# Most of the time of a test goes into compilation; before jax is imported.
_LESS_OPTIMIZED = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_LESS_OPTIMIZED}"

# Many tests compile the same programs: the processes of one test run share them.
_RUN = os.environ.setdefault("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
_COMPILED = Path(tempfile.gettempdir()) / f"jaxmeta-tests-{_RUN}"
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(_COMPILED)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"

import jax  # noqa: E402
import pytest  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_sessionfinish(session):
    if not hasattr(session.config, "workerinput"):  # the last process to finish
        shutil.rmtree(_COMPILED, ignore_errors=True)


@pytest.fixture(autouse=True, scope="module")
def _forget_compiled_programs():
    """Each holds memory maps, of which a process may have 65,530 before it crashes."""
    yield
    jax.clear_caches()
    gc.collect()


@pytest.fixture
def key():
    return jax.random.key(0)
