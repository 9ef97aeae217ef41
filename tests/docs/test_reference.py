"""The reference is what the code says, and the script that writes it notices when it is not."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "make_reference.py"


def make_reference(*arguments):
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_committed_reference_is_current():
    checked = make_reference("--check")
    assert checked.returncode == 0, checked.stderr


def test_a_check_names_what_is_stale_and_changes_nothing(tmp_path):
    assert make_reference(str(tmp_path)).returncode == 0
    settings = tmp_path / "settings.md"
    settings.write_text("# Settings\n", encoding="utf-8")
    checked = make_reference("--check", str(tmp_path))
    assert checked.returncode == 1
    assert "settings.md" in checked.stderr
    assert "commands.md" not in checked.stderr
    assert settings.read_text(encoding="utf-8") == "# Settings\n"
