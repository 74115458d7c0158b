"""The files that put rkbridge somewhere: systemd's, the Dockerfile, the compose file, the manifests.
No container is run."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from bridge import BUILD

TOP = pathlib.Path(__file__).resolve().parents[2]
UNIT = TOP / "etc" / "rkbridge.service"
COMPOSE = TOP / "contrib" / "compose" / "docker-compose.yml"
DOCKERFILE = TOP / "contrib" / "Dockerfile"
MANIFESTS = sorted((TOP / "contrib" / "kubernetes").glob("*.yaml"))
EXPOSURE = 16               # tenths of systemd's points for what a service could do; 100 is the worst
CLOSING = 5                 # seconds beyond linger and shutdown_timeout: the last sync, and some room
RING = 2 * 32               # MiB: journal.ring_size by default, and as much again where a disk fails
ITSELF = 24                 # MiB of memory besides the ring: doc/operations.md, "Memory"


def tool(name):
    """A program's path: of the system, or of the PyPI package beside this Python. What is missing is said."""
    path = shutil.which(name) or shutil.which(name, path=str(pathlib.Path(sys.executable).parent))
    if path is None:
        pytest.skip(f"NOT RUN: {name} is missing")
    return path


def run(*arguments, **more):
    done = subprocess.run([str(one) for one in arguments], capture_output=True, text=True, timeout=60, **more)
    return done.returncode, done.stdout + done.stderr


def passes(*arguments, **more):
    code, said = run(*arguments, **more)
    assert code == 0, said
    return said


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|)", str(text)).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60, "": 0}[unit]


def mebibytes(text):
    number, unit = re.fullmatch(r"(\d+)\s*(mb|Mi|Gi|GiB)", str(text)).groups()
    return int(number) * (1024 if unit.startswith("G") else 1)


def time_to_end(config):
    return seconds(config.get("linger", "0")) + seconds(config.get("shutdown_timeout", "25s")) + CLOSING


# systemd

@pytest.fixture
def unit(tmp_path):
    """The unit with the programs of this build: systemd-analyze wants some that are there."""
    path = tmp_path / UNIT.name
    path.write_text(re.sub(r"^(Exec\w+)=(rkb\w+)", rf"\1={BUILD}/\2", UNIT.read_text(), flags=re.M))
    return path


# What the documents say of the service, and what the threshold alone would not miss.
PROMISED = {
    "After": "network-online.target redis-server.service", "Wants": "network-online.target",
    "ExecStart": "rkbridge -c /etc/rkbridge.yaml", "ExecReload": "rkbctl reload", "NotifyAccess": "main",
    "EnvironmentFile": "-/etc/default/rkbridge", "User": "rkbridge", "Group": "rkbridge", "SuccessExitStatus": "3",
    "TimeoutStartSec": "infinity", "KillMode": "mixed", "StateDirectory": "rkbridge", "StateDirectoryMode": "0700",
    "RuntimeDirectory": "rkbridge", "RuntimeDirectoryMode": "0755", "UMask": "0077", "LimitNOFILE": "65536",
    "LimitCORE": "0", "ProcSubset": "pid", "ProtectClock": "yes", "ProtectHostname": "yes", "RestrictRealtime": "yes",
    "LockPersonality": "yes", "MemoryDenyWriteExecute": "yes", "SystemCallErrorNumber": "EPERM",
    "WantedBy": "multi-user.target",
}


def test_unit(unit):
    said = passes(tool("systemd-analyze"), "verify", "--man=no", unit)
    assert said.strip() == ""
    assert run(tool("systemd-analyze"), "security", "--offline=yes", f"--threshold={EXPOSURE}", unit)[0] == 0
    settings = dict(re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.M))
    assert settings.items() >= PROMISED.items()
    assert settings["Type"] == "notify" and settings["Restart"] == "always" and settings["StartLimitIntervalSec"] == "0"
    assert settings["RestartPreventExitStatus"] == "64" and seconds(settings["RestartSec"]) <= 1
    assert int(settings["TimeoutStopSec"]) > time_to_end({}) and int(settings["WatchdogSec"]) > 0
    assert not {"RemoveIPC", "DynamicUser", "PrivateUsers"} & settings.keys()      # the ring; who asks on the socket


def test_user_and_directories(tmp_path):
    """As root they are made below a directory of ours; their words are understood in any case."""
    etc = tmp_path / "etc"
    etc.mkdir()
    said = passes(tool("systemd-sysusers"), f"--root={tmp_path}", "--dry-run", TOP / "etc/sysusers.d/rkbridge.conf")
    assert "Would create user 'rkbridge'" in said or "Creating user 'rkbridge'" in said, said
    if os.geteuid() != 0:
        pytest.skip("NOT RUN: systemd-tmpfiles makes directories of another user only as root")
    (etc / "passwd").write_text("root:x:0:0::/:/bin/sh\nrkbridge:x:977:977::/:/bin/sh\n")
    (etc / "group").write_text("root:x:0:\nrkbridge:x:977:\n")
    passes(tool("systemd-tmpfiles"), f"--root={tmp_path}", "--create", TOP / "etc/tmpfiles.d/rkbridge.conf")
    wanted = (("var/lib/rkbridge", 0o700, 977), ("run/rkbridge", 0o755, 977), ("etc/rkbridge", 0o750, 0))
    for name, mode, owner in wanted:
        status = (tmp_path / name).stat()
        assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (mode, owner, 977), name


def test_install(tmp_path):
    """make install puts them where systemd looks."""
    passes("make", "-s", "-C", BUILD, "install-data", "install-exec", f"DESTDIR={tmp_path}", "prefix=/usr")
    for name in ("bin/rkbridge", "bin/rkbctl", "lib/systemd/system/rkbridge.service", "lib/sysusers.d/rkbridge.conf",
                 "lib/tmpfiles.d/rkbridge.conf", "share/man/man8/rkbridge.8"):
        assert (tmp_path / "usr" / name).is_file(), name


# the container

def packages(stage):
    """What a stage of the Dockerfile installs."""
    text = DOCKERFILE.read_text().split("\nFROM ")[stage].replace("\\\n", " ")
    return set(re.search(r"--no-install-recommends +([^&]*)&&", text).group(1).split())


def test_dockerfile():
    passes(tool("hadolint"), DOCKERFILE)
    text = DOCKERFILE.read_text()
    last = text.split("\nFROM ")[-1]
    assert text.count("\nFROM ") == 2 and "COPY --from=build /out/usr/bin/ /usr/bin/\n" in last
    made = re.findall(r"install -d -o 10001 -g 10001 -m (\d+) (\S+)", last)
    assert made == [("0700", "/var/lib/rkbridge"), ("0755", "/run/rkbridge")]
    # As process 1, without a shell that would keep SIGTERM to itself; not as root.
    assert re.search(r"^USER 10001:10001$", last, re.M) and re.search(r"^STOPSIGNAL SIGTERM$", last, re.M)
    assert re.search(r'^ENTRYPOINT \["rkbridge"\]\nCMD \["-c", "/etc/rkbridge.yaml"\]$', last, re.M)
    assert re.search(r'^HEALTHCHECK .*--start-period=10m .*CMD \["rkbctl", "version"\]$', last, re.M)
    assert re.search(r'^VOLUME \["/var/lib/rkbridge"\]$', last, re.M)


def test_dockerfile_builds_with_what_configure_asks_for():
    asked = set(re.findall(r"^RKB_NEEDS\(.*\[(lib[a-z0-9.-]+-dev)\]\)$", (TOP / "configure.ac").read_text(), re.M))
    assert len(asked) > 5 and asked <= packages(1), asked - packages(1)


def test_dockerfile_runs_with_what_is_linked():
    """The last stage has the packages of the libraries that rkbridge asks for, and no other library."""
    names = re.findall(r"NEEDED +(\S+)", passes(tool("objdump"), "-p", BUILD / "rkbridge"))
    names = [name for name in names if not re.match(r"lib(asan|ubsan|tsan|c|m|pthread)\.so", name)]
    cached = passes("/sbin/ldconfig", "-p")
    needed = set()
    for name in names:
        path = re.search(rf"^\s*{re.escape(name)} .* => (\S+)$", cached, re.M).group(1)
        code, said = run(tool("dpkg"), "-S", path)
        if code != 0:
            said = passes("dpkg", "-S", pathlib.Path(path).resolve())
        needed.add(said.split(":")[0])
    given = {name for name in packages(2) if name.startswith("lib")}
    assert needed == given and "ca-certificates" in packages(2)


def test_dockerfiles_packages_exist():
    policy = passes(tool("apt-cache"), "policy", *sorted(packages(1) | packages(2)))
    there = set(re.findall(r"^(\S+):\n.*\n +Candidate: [^(\n]+$", policy, re.M))
    if not there:
        pytest.skip("NOT RUN: apt has no lists of packages here")
    assert packages(1) | packages(2) <= there, (packages(1) | packages(2)) - there


# compose, Kubernetes

def check_config(tmp_path, text):
    """--check, with the directories of this machine; returns the config."""
    for name in ("redis-password", "kafka-password"):
        (tmp_path / name).write_text("secret\n")
    text = text.replace("/var/lib/rkbridge", str(tmp_path)).replace("/etc/rkbridge/secrets", str(tmp_path))
    path = tmp_path / "rkbridge.yaml"
    path.write_text(text)
    assert "no mistakes" in passes(BUILD / "rkbridge", "--check", "-c", path)
    return yaml.safe_load(text)


def image_is_without_a_host(name):
    return "." not in name.split("/")[0] or "/" not in name


def test_compose(tmp_path):
    if shutil.which("docker-compose"):
        passes("docker-compose", "-f", COMPOSE, "config", "-q")
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    assert set(services) == {"redis", "kafka", "rkbridge"}
    assert all(image_is_without_a_host(one["image"]) for one in services.values())
    config = check_config(tmp_path, (COMPOSE.parent / "rkbridge.yaml").read_text())
    assert seconds(services["rkbridge"]["stop_grace_period"]) >= time_to_end(config)
    ours = services["rkbridge"]
    # Waits for a Redis that answers; not for Kafka, and so for no longer than it must.
    conditions = {name: needed["condition"] for name, needed in ours["depends_on"].items()}
    assert conditions == {"redis": "service_healthy", "kafka": "service_started"}
    assert "ping" in services["redis"]["healthcheck"]["test"]
    assert ours["read_only"] and ours["cap_drop"] == ["ALL"] and "user" not in ours
    assert ours["volumes"] == ["./rkbridge.yaml:/etc/rkbridge.yaml:ro", "journal:/var/lib/rkbridge"]
    assert config["journal"]["directory"].startswith(f"{tmp_path}/")        # which stands for /var/lib/rkbridge
    assert ours["ulimits"]["core"] == 0 and all(one["restart"] == "always" for one in services.values())
    assert ours["tmpfs"] == ["/run/rkbridge:uid=10001,gid=10001,mode=0755"] and mebibytes(ours["shm_size"]) >= RING
    assert ours["ports"] == ["127.0.0.1:9464:9464"] and config["http"]["listen"].endswith(":9464")
    build = ours["build"]
    assert (COMPOSE.parent / build["context"] / build["dockerfile"]).is_file()
    tool("docker-compose")          # said at the end: all but its own opinion was looked at


def documents(path):
    return list(yaml.safe_load_all(path.read_text()))


def of_kind(path, kind):
    one, = [document for document in documents(path) if document["kind"] == kind]
    return one


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_manifests_fit_together(path):
    """What one part calls by name another has by that name: configuration, secrets, claim, labels, ports."""
    of_config, secret, claim = (of_kind(path, kind) for kind in ("ConfigMap", "Secret", "PersistentVolumeClaim"))
    spec = of_kind(path, "Deployment")["spec"]
    metadata, pod = spec["template"]["metadata"], spec["template"]["spec"]
    bridge, = [one for one in pod.get("initContainers", []) + pod["containers"] if one["name"] == "rkbridge"]
    assert metadata["labels"].items() >= spec["selector"]["matchLabels"].items() > set()
    for service in (one["spec"] for one in documents(path) if one["kind"] == "Service"):
        assert metadata["labels"].items() >= service["selector"].items() > set()
        assert {one["port"] for one in service["ports"]} <= {
            port["containerPort"] for container in pod["containers"] for port in container["ports"]}
    volumes = {one["name"]: one for one in pod["volumes"]}
    assert volumes["config"]["configMap"]["name"] == of_config["metadata"]["name"]
    assert volumes["secrets"]["secret"] == {"secretName": secret["metadata"]["name"], "defaultMode": 0o440}
    assert volumes["journal"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    places = {one["name"]: one["mountPath"] for one in bridge["volumeMounts"] if one.get("readOnly")}
    assert places.keys() == {"config", "secrets"} and bridge["args"] == ["-c", f"{places['config']}/rkbridge.yaml"]
    text = of_config["data"]["rkbridge.yaml"]
    files = re.findall(r"password_file: (\S+)", text)
    assert len(files) == 2 and {f"{places['secrets']}/{name}" for name in secret["stringData"]} == set(files)
    assert "\n  directory: /var/lib/rkbridge/journal\n" in text and "change-me" not in text
    assert metadata["annotations"]["prometheus.io/port"] == str(bridge["ports"][0]["containerPort"])
    assert pod["automountServiceAccountToken"] is pod["enableServiceLinks"] is False
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_manifests(path, tmp_path):
    passes(tool("kubernetes-validate"), "--strict", "--quiet", path)
    config = check_config(tmp_path, of_kind(path, "ConfigMap")["data"]["rkbridge.yaml"])
    deployment = of_kind(path, "Deployment")["spec"]
    pod = deployment["template"]["spec"]
    bridge, = [one for one in pod.get("initContainers", []) + pod["containers"] if one["name"] == "rkbridge"]
    assert deployment["replicas"] == 1 and deployment["strategy"] == {"type": "Recreate"}
    assert pod["terminationGracePeriodSeconds"] >= time_to_end(config)
    assert pod["securityContext"]["runAsNonRoot"] and bridge["livenessProbe"]["httpGet"]["path"] == "/healthz"
    alive = bridge["livenessProbe"]
    assert alive["periodSeconds"] * alive["failureThreshold"] == 30, "a loop that has not turned for so long"
    assert all(image_is_without_a_host(one["image"]) for one in pod["containers"])
    volumes = {one["name"]: one for one in pod["volumes"]}
    mounts = {one["mountPath"]: volumes[one["name"]] for one in bridge["volumeMounts"]}
    assert "persistentVolumeClaim" in mounts["/var/lib/rkbridge"]
    ring = mounts["/dev/shm"]["emptyDir"]
    assert ring["medium"] == "Memory" and mebibytes(ring["sizeLimit"]) >= RING
    assert mebibytes(bridge["resources"]["limits"]["memory"]) >= mebibytes(ring["sizeLimit"]) + ITSELF
    claim = of_kind(path, "PersistentVolumeClaim")["spec"]["resources"]["requests"]["storage"]
    assert mebibytes(claim) * 0.9 >= mebibytes(config["journal"].get("max_size", "4GiB")), "min_free leaves a tenth"
    assert mounts["/run/rkbridge"]["emptyDir"]["medium"] == "Memory"
    assert bridge["securityContext"].items() >= {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                                 "capabilities": {"drop": ["ALL"]}}.items()
    user = {**pod["securityContext"], **bridge["securityContext"]}
    assert user["runAsUser"] == user["runAsGroup"] == user["fsGroup"] == 10001
    # Every probe goes where it listens; a restart is a gap, so it takes half a minute of silence.
    port, = bridge["ports"]
    for probe in (bridge[name] for name in ("livenessProbe", "readinessProbe", "startupProbe") if name in bridge):
        assert probe["httpGet"]["port"] == port["name"]
        assert config["http"]["listen"] == f"0.0.0.0:{port['containerPort']}"
    alive = bridge["livenessProbe"]
    assert alive["periodSeconds"] * alive["failureThreshold"] >= 30 and alive["timeoutSeconds"] >= 5
    if path.stem == "sidecar":      # not ready, it would take Redis out of service with it
        assert not {"readinessProbe", "startupProbe"} & bridge.keys() and bridge["restartPolicy"] == "Always"
        assert alive["initialDelaySeconds"] >= 600, "the time to read a large journal"
        assert seconds(config["linger"]) > 0 and bridge in pod["initContainers"]
    else:
        assert bridge["readinessProbe"]["httpGet"]["path"] == "/readyz"
        first = bridge["startupProbe"]
        assert first["httpGet"]["path"] == "/healthz" and first["periodSeconds"] * first["failureThreshold"] >= 600
