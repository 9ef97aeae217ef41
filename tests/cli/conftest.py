"""The command as a shell runs it, on databases of the test's own."""

import os
import subprocess
import sys

import pytest


@pytest.fixture
def apex(database_url, redis_url, tmp_path):
    """Run ``apex`` with these arguments, and with these variables besides."""

    def run(*arguments, **environment):
        own = {name: value for name, value in os.environ.items() if not name.startswith("APEX_")}
        return subprocess.run(
            [sys.executable, "-m", "apex_actors", *arguments],
            env=own
            | {
                "APEX_MODE": "development",
                "APEX_DATABASE_URL": database_url,
                "APEX_REDIS_URL": redis_url,
                "APEX_DATA_DIR": str(tmp_path),
            }
            | environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run
