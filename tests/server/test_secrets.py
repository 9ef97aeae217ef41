"""The development secret: one a folder, readable by its owner alone."""

import multiprocessing
import stat

from apex_actors.server.secrets import development_secret


def test_it_is_made_once_and_is_private(tmp_path):
    folder = tmp_path / "new folder"
    secret = development_secret(folder)
    assert len(secret) >= 32
    assert development_secret(folder) == secret
    assert stat.S_IMODE((folder / "token-secret").stat().st_mode) == 0o600
    assert [path.name for path in folder.iterdir()] == ["token-secret"]


def test_processes_that_make_it_at_once_agree(tmp_path):
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        secrets = pool.map(development_secret, [tmp_path] * 8)
    assert len(set(secrets)) == 1
