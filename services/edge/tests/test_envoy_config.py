"""Envoy's configuration: filled in whole, taken by Envoy, settings as the README says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from edge_process import EDGE

PROGRAM = [sys.executable, str(EDGE / "envoy" / "edge.py")]


def edge(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments],
        env={"PATH": "/usr/bin:/bin", "PENSTOCK_DATA_DIR": str(tmp_path)} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_envoy_takes_the_configuration(tmp_path: Path) -> None:
    done = edge(tmp_path, "validate")
    assert done.returncode == 0, done.stderr
    assert "OK" in done.stdout


def test_the_offset_moves_every_port(tmp_path: Path) -> None:
    rendered = edge(tmp_path, "render", PENSTOCK_PORT_OFFSET="1000").stdout
    assert sorted(map(int, re.findall(r"port_value: (\d+)", rendered))) == [9080, 10901, 51051, 51061]


def test_a_port_of_its_own_wins_over_the_offset(tmp_path: Path) -> None:
    rendered = edge(tmp_path, "render", PENSTOCK_PORT_OFFSET="1000", PENSTOCK_EDGE_PORT="80").stdout
    assert "port_value: 80}" in rendered


@pytest.mark.parametrize("variable", ["PENSTOCK_PORT_OFFSET", "PENSTOCK_EDGE_PORT", "PENSTOCK_DRAIN_SECONDS"])
def test_a_bad_setting_is_refused_with_what_there_is(tmp_path: Path, variable: str) -> None:
    done = edge(tmp_path, "render", **{variable: "soon"})
    assert done.returncode != 0
    assert f"{variable}='soon'" in done.stderr


def test_envoy_takes_the_configuration_with_a_collector(tmp_path: Path) -> None:
    done = edge(tmp_path, "validate", PENSTOCK_OTLP_ENDPOINT="http://collector.invalid:4317")
    assert done.returncode == 0, done.stderr


def test_a_collector_without_a_port_is_refused(tmp_path: Path) -> None:
    done = edge(tmp_path, "render", PENSTOCK_OTLP_ENDPOINT="collector")
    assert done.returncode != 0
    assert "PENSTOCK_OTLP_ENDPOINT='collector' is no host:port" in done.stderr


def test_nothing_is_compressed_or_buffered(tmp_path: Path) -> None:
    rendered = edge(tmp_path, "render").stdout
    assert "compressor" not in rendered
    assert "http.buffer" not in rendered


def test_the_readme_lists_every_setting(tmp_path: Path) -> None:
    readme = (EDGE / "README.md").read_text()
    for variable in re.findall(r"PENSTOCK_\w+", edge(tmp_path, "help").stdout):
        assert f"`{variable}`" in readme
