"""The systems that forward a chat completion to the same mock upstream, each started here, all on the loopback."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass

from harness import install, processes
from harness.paths import CACHE
from harness.processes import Processes, wait_until

RUN_DIR = CACHE / "edge_overhead"
_START_SECONDS_MAX = 90.0
_PEER_KEY = "sk-bench"
MODEL = "mock"
ANSWER = "word word word"


@dataclass(frozen=True, slots=True)
class System:
    """Something that answers chat completions."""

    name: str
    base_url: str
    headers: dict[str, str]
    processes: Processes

    @property
    def url(self) -> str:
        """Where completions are POSTed."""
        return f"{self.base_url}/chat/completions"

    def answers(self, body: bytes) -> bool:
        """Say whether a request gets the upstream's answer."""
        status, text = _post(self.url, self.headers, body)
        return status == 200 and ANSWER in text

    def refuses_strangers(self, body: bytes) -> bool:
        """Say whether a wrong key is refused (LiteLLM without a database says 400, not 401)."""
        status, _ = _post(self.url, {**self.headers, "authorization": "Bearer sk-wrong"}, body)
        return status in {400, 401, 403}

    def wait(self, body: bytes) -> None:
        """Wait for the first right answer."""
        wait_until(lambda: self.answers(body), self.processes, _START_SECONDS_MAX)


def upstream() -> System:
    """Start the mock upstream."""
    address = f"127.0.0.1:{processes.free_port()}"
    server = _start("upstream", [str(install.mock_upstream()), "-listen", address])
    return System("upstream", f"http://{address}/v1", {}, server)


def litellm(upstream_base: str) -> System:
    """Start LiteLLM's proxy: its key check, one worker, no database, no callbacks."""
    port = processes.free_port()
    config = RUN_DIR / "litellm.json"
    config.write_text(json.dumps(_litellm_config(upstream_base)))
    command = [str(CACHE / "litellm" / "bin" / "litellm"), "--config", str(config), "--run_granian"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION"}
    headers = {"authorization": f"Bearer {_PEER_KEY}"}
    return System("litellm", f"http://127.0.0.1:{port}/v1", headers, _start("litellm", command, quiet))


def portkey(upstream_base: str) -> System:
    """Start Portkey's gateway, which forwards and checks no key of its own."""
    port = processes.free_port()
    program = CACHE / "portkey" / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    command = ["node", str(program), f"--port={port}", "--headless"]
    headers = {
        "authorization": f"Bearer {_PEER_KEY}",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": upstream_base,
    }
    server = _start("portkey", command, {"NODE_ENV": "production"})
    return System("portkey", f"http://127.0.0.1:{port}/v1", headers, server)


def _start(name: str, command: list[str], env: dict[str, str] | None = None) -> processes.Server:
    return processes.start(command, RUN_DIR / f"{name}.log", env)


def _litellm_config(upstream_base: str) -> dict[str, object]:
    upstream = {"model": f"openai/{MODEL}", "api_base": upstream_base, "api_key": "sk-upstream"}
    return {
        "model_list": [{"model_name": MODEL, "litellm_params": upstream}],
        "general_settings": {"master_key": _PEER_KEY},
    }


def _post(url: str, headers: dict[str, str], body: bytes) -> tuple[int, str]:
    request = urllib.request.Request(url, body, {**headers, "content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""
