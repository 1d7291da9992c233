import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from penstock_cache.root_secret import RootSecretError, load_root_secret


def test_the_secret_is_made_once_and_only_ours_to_read(tmp_path):
    path = tmp_path / "cache" / "root_secret"
    secret = load_root_secret(path)
    assert load_root_secret(path) == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["root_secret"]


def test_processes_that_race_for_it_get_the_same_one(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        secrets = set(pool.map(load_root_secret, [tmp_path / "root_secret"] * 32))
    assert len(secrets) == 1


def test_a_damaged_secret_is_refused_and_kept(tmp_path):
    path = tmp_path / "root_secret"
    path.write_bytes(b"short")
    with pytest.raises(RootSecretError, match="restore or remove"):
        load_root_secret(path)
    assert path.read_bytes() == b"short"
