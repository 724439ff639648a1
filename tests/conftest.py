"""What all tests share: one hypothesis profile, and a disk cache that is not the user's."""

import os
import tempfile

import pytest
from hypothesis import HealthCheck, settings

# Compiles take milliseconds on an idle machine and far longer on a busy one: no deadline.
# CI draws the same examples every time: what it says is about the change, not about luck.
settings.register_profile(
    "weft", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=bool(os.environ.get("CI"))
)
settings.load_profile("weft")

# Set before any test imports weft, so that child processes see it too.
_CACHE = tempfile.TemporaryDirectory(prefix="weft-test-cache-")
os.environ.setdefault("WEFT_CACHE_DIR", _CACHE.name)


@pytest.fixture
def cache_dir(tmp_path, monkeypatch):
    """An empty disk cache of the test's own, for the child processes that it starts."""
    path = tmp_path / "cache"
    monkeypatch.setenv("WEFT_CACHE_DIR", str(path))
    return path
