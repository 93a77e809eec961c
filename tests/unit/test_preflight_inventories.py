"""
Wrong inventories, as a user would write them: playbooks/preflight.yml refuses each with one clear line per mistake, all
in one report, before anything is changed. Few inventories hold the many mistakes, since a run of Ansible costs seconds.
"""

from __future__ import annotations

import dataclasses
import datetime
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

GROUPS = ("postgres", "redis", "web", "worker", "edge", "backups")
SECRETS = {
    "secret_django_key": "Kd8wQz3LmX5vRt7YpBn2",
    "secret_postgres_superuser": "Ts4GhJ9cVk6WqZx1MfLr",
    "secret_postgres_owner": "Pb7NyXe3RtKm5QdHw8Zs",
    "secret_postgres_application": "Xc2LvBn6GfDs9TqWk4Jr",
    "secret_redis_broker": "Hm5ZtRw8KpQx3NcVb7Ys",
    "secret_redis_cache": "Wf6QkTs9XzLm2RbNd4Gv",
    "secret_backups_cipher": "Jr3VxMn7YtPk5WsQh8Lc",
}
DUPLICATE = "Zq5RtXw8LmKp3VbNs7Hd"
SHORT = "tooShort9"
IN_ENVIRONMENT = "Lk9ToKeN4vAlUe7xYz2Q"
NOT_ASCII = "Xc2LvBn6GfDs9TqWk4Jü"
APPLICATION = "Mf3ApIkEy8sEcReT5wQz"
UNDECRYPTABLE = """\
!vault |
  $ANSIBLE_VAULT;1.1;AES256
  34366634626561356236346336376536336533646233303532343132336137613563623061613365
  3136323666393962343630663839323232646235323933360a626137623030313461383961353661
  64363234646138303731336535643236356330313466303133333936623038373831663535316536
  3735326234613935630a316662656439386365326262373930386362316237633161333466326633
  3563
"""


def tree(folder: Path, *, pipe: str = "", pin: str = "", comment: str = "") -> Path:
    """A source whose requirements are in Latin-1, with a pipe and a pinned Python when there is a name for them."""
    (folder / "requirements").mkdir(parents=True)
    (folder / "requirements" / "prod.txt").write_text(f"# {comment}\ndjango\n", encoding="latin-1")
    if pipe:
        os.mkfifo(folder / pipe)
    if pin:
        (folder / ".python-version").write_text(pin)
    return folder


@dataclasses.dataclass(frozen=True)
class Run:
    code: int
    output: str

    @property
    def report(self) -> list[str]:
        """Lines of preflight's message, without the copy that the callback prints of a result."""
        begin = r"\[ERROR\]: Task failed: Action failed: (?:Preflight found|The run was started with)"
        told = re.split(begin, self.output)
        text = told[1].partition("\nOrigin:")[0] if len(told) > 1 else ""
        return [line[2:] for line in text.splitlines() if line.startswith("- ")]


def certificate(names: list[str], key: ec.EllipticCurvePrivateKey, issuer: str = "") -> str:
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    signer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer or names[0])])
    builder = x509.CertificateBuilder(signer, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(
        now + datetime.timedelta(days=90)
    )
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def pem(key: ec.EllipticCurvePrivateKey) -> str:
    encoding = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(*encoding).decode()


class Inventories:
    """Writes small inventories and runs preflight over them."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = root
        self.folder = folder

    def write(
        self,
        name: str,
        env: dict[str, object],
        *,
        secrets: dict[str, str | None] | None = None,
        groups: dict[str, dict[str, dict | None]] | None = None,
        more: str = "",
    ) -> Path:
        """An inventory of one local host, changed as told; a secret that is None is left out."""
        inventory = self.folder / name
        variables = inventory / "group_vars" / "all"
        variables.mkdir(parents=True)
        hosts = {group: {"localhost": None} for group in GROUPS} | (groups or {})
        children = {group: {"hosts": members} for group, members in hosts.items() if members is not None}
        (inventory / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": children}}))
        base = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "stack_name": "hpf-shop",
            "stack_environment": "prod",
            "stack_root": str(inventory / "root"),
            "stack_subnet_prefix": "10.213.201",
            "stack_docker_free_mb_min": 1,
            "backend_context": str(self.root / "backend"),
            "backend_domains": ["shop.example.org"],
            "nginx_tls_bind_address": "127.0.0.1",
            "nginx_tls_http_port": free_port(),
            "nginx_tls_https_port": free_port(),
        }
        (variables / "10_env.yml").write_text(yaml.safe_dump(base | env) + more)
        present = {key: value for key, value in (SECRETS | (secrets or {})).items() if value is not None}
        (variables / "20_secrets.yml").write_text(yaml.safe_dump(present))
        return inventory

    def run(self, inventory: Path, *options: str) -> Run:
        command = [
            str(Path(sys.executable).parent / "ansible-playbook"),
            str(self.root / "playbooks" / "preflight.yml"),
            "-i",
            str(inventory),
            *options,
        ]
        env = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
        env |= {"ANSIBLE_CONFIG": str(self.root / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "COLUMNS": "400"}
        # A host without an Engine, whatever runs on this machine.
        env["DOCKER_HOST"] = f"unix://{self.folder}/none.sock"
        done = subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True, timeout=180, check=False)
        return Run(done.returncode, done.stdout + done.stderr)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def linked(inventory: Path, root: Path) -> Path:
    """A link to an inventory in an application's repository, as docs/your-own-app.md shows it."""
    (inventory.parent / "linked-source").symlink_to(root / "backend")
    link = inventory.parent / "links" / "shop"
    link.parent.mkdir()
    link.symlink_to(inventory)
    return link


@pytest.fixture(scope="module")
def taken() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture(scope="module")
def runs(root: Path, tmp_path_factory: pytest.TempPathFactory, taken: int) -> Iterator[dict[str, Future[Run]]]:
    """All runs, by name; two at a time, each started before the first test asks for one."""
    inventories = Inventories(root, tmp_path_factory.mktemp("inventories"))
    key, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    write = inventories.write
    written: dict[str, tuple[Path, list[str]]] = {
        "fine": (
            linked(write("fine", {"backend_context": "{{ inventory_dir | realpath }}/../linked-source"}), root),
            [],
        ),
        "names": (
            write(
                "names",
                {
                    "backed_domains": ["a.example.org"],
                    "postgres_memori": "1g",
                    "monitoring_url": "https://monitor.example.org",
                    "nginx_tls_https_port": "https",
                    "backend_release_commands": "python manage.py migrate",
                    "backend_static_root": "{{ statics }}/files",
                    "postgres_networks": [{"name": "n", "ipv4_adress": "192.0.2.1"}],
                    "backend_env": {"API_TOKEN": IN_ENVIRONMENT},
                    "backend_secrets": {"api_key": APPLICATION, "mail_password": "changeme"},
                    "backend_worker_pools": {
                        "mail": {"queues": []},
                        "slow": {"queues": ["slow"], "concurrency": 0},
                    },
                },
                secrets={
                    "secret_redis_broker": None,
                    "secret_redis_cache": DUPLICATE,
                    "secret_django_key": DUPLICATE,
                    "secret_postgres_owner": "changeme",
                    "secret_postgres_superuser": SHORT,
                    "secret_backups_cipher": "",
                },
                groups={"wokers": {"localhost": None}},
            ),
            ["-vvv"],
        ),
        "application": (
            write(
                "application",
                {
                    "stack_name": "cafe",
                    "stack_subnet_prefix": "127.0.0",
                    "backend_image": "registry.example.org/shop/web:latest",
                    "backend_domains": ["https://shop.example.org", "*.example.org", "shop.example.org:8443"],
                    "backend_env": {"DJANGO_DEBUG": "1"},
                    "nginx_tls_server_names": ["other.example.org"],
                    "nginx_tls_redirect_names": ["www.example.org"],
                    "nginx_tls_certificate_source": "files",
                    "nginx_tls_certificate": certificate(["shop.example.org"], key),
                    "nginx_tls_certificate_key": pem(other),
                    "nginx_tls_http_port": taken,
                    "stack_docker_free_mb_min": 10**9,
                },
                groups={"worker": None},
            ),
            [],
        ),
        "hosts": (
            write(
                "hosts",
                {
                    "stack_environment": "production",
                    "backend_context": "/nonexistent/application",
                    "backend_backup_volumes": ["media"],
                },
                groups={
                    "edge": None,
                    "postgres": {
                        "localhost": None,
                        "far": {
                            "ansible_connection": "ssh",
                            "ansible_host": "127.0.0.1",
                            "ansible_port": 1,
                        },
                    },
                    "backups": {"far": None},
                    "ungrouped": {"alone": {"ansible_connection": "local"}},
                },
                more="secret_postgres_application: %s" % UNDECRYPTABLE,
                secrets={"secret_postgres_application": None},
            ),
            [],
        ),
        "context": (
            write(
                "context",
                {
                    "backend_requirements": "requirements/none.txt",
                    "stack_environment": "staging",
                    "backend_domains": [],
                },
            ),
            [],
        ),
        "tree": (
            write("tree", {"backend_context": str(tree(inventories.folder / "trees" / "odd", pipe="control"))}),
            [],
        ),
        "project": (
            write(
                "project",
                {"backend_context": str(tree(inventories.folder / "trees" / "project", pin="3.12", comment="données"))},
            ),
            [],
        ),
        "packages": (
            write(
                "packages",
                {
                    "backend_redirect_domains": ["shop.example.org"],
                    "backend_context": "",
                    "backend_packages": ["acme shop"],
                    "backend_constraints": "../limits.txt",
                    "backend_extras": ["s3"],
                    "backend_wheels_only_except": ["acme"],
                    "backend_system_packages": ["libPango"],
                    "backend_base_image": "python:latest",
                    "backend_user": "0:0",
                    "backend_manage": ["acme manage"],
                    "backend_wsgi": "acme/wsgi.py",
                    "backend_env": {
                        "SHOP-NAME": "shop",
                        "DATABASE_URL": "postgresql://shop:%s@db/shop" % SECRETS["secret_postgres_application"],
                        "CURRENCY": "EUR",
                    },
                    "backend_redis_uses": {
                        "broker": {"instance": "brokre", "database": 0},
                        "cache": {"instance": "cache", "database": 0},
                    },
                    "backend_secrets": {"mail/key": APPLICATION},
                    "backend_secret_env": {"CURRENCY": "EUR"},
                    "backend_files": {"/run/secrets/settings.ini": "x", "etc/settings.ini": "x"},
                    "backend_secret_files": {"/etc/acme.ini": {"content": APPLICATION, "mode": 256}},
                },
            ),
            ["-vvv"],
        ),
        "runtime": (
            write(
                "runtime",
                {
                    "backend_worker_pools": {
                        "mail": {"queue": ["mail"]},
                        "bulk": {"command": ["bulk"], "healthcheck": {"interval": "60s"}},
                    },
                    "backend_periodic_commands": {
                        "clean": {"command": ["acme", "clean"], "schedule": "61 * * * *"},
                        "report": {"command": ["acme", "report"]},
                    },
                    "backend_processes": {
                        "listener": {"command": "acme listen"},
                        "relay": {"command": ["relay"], "healthcheck": {"test": ["CMD", "true"], "retry": 3}},
                    },
                    "backend_beat_healthcheck": {"tset": ["CMD", "true"]},
                    "backend_release_commands": ["python manage.py migrate"],
                    "backend_static_url": "static/",
                    "backend_volumes": {"media": {"path": "srv/media"}, "redis-data": {"path": "/srv/data"}},
                    "backend_backup_volumes": ["uploads"],
                    "backend_tmpfs": ["cache"],
                    "backend_health_path": "health",
                    "backend_health_statuses": [2000],
                    "backend_health_timeout_seconds": 0,
                    "backend_upload_max_size": "25 MB",
                    "backend_locations": {"/downloads/": "return 404"},
                    "backend_web_memory": "8m",
                    "backend_web_cpus": -1,
                },
                groups={"postgres": None, "redis": None},
                secrets={"secret_postgres_superuser": None},
            ),
            [],
        ),
        # What roles refuse by themselves.
        "roles": (
            write(
                "roles",
                {
                    "backups_full_schedule": "daily",
                    "postgres_hba": ["host all all all trust"],
                    "postgres_application_user": "shop_owner",
                    "postgres_owner": "shop_owner",
                    "redis_instances": {
                        "broker": {"max_memory": "1gb", "password": SECRETS["secret_redis_broker"]},
                        "cache": {"maxmemory": "64mb", "password": SECRETS["secret_redis_cache"]},
                    },
                    "nginx_tls_server_names": ["192.0.2.1"],
                    "gateway_services": [{"name": "web", "port": 8100, "target": "web", "mutual": True}],
                    "celery_worker_periodic_commands": {"Tidy": {"command": ["true"], "every": 60}},
                },
                secrets={"secret_postgres_application": NOT_ASCII},
            ),
            ["-vvv"],
        ),
        "instances": (
            write(
                "instances",
                {
                    "redis_instances": {
                        "broker": {"maxmemory": "plenty", "password": SECRETS["secret_redis_broker"]},
                        "cache": {"maxmemory": "64mb", "password": SECRETS["secret_redis_cache"]},
                    },
                    "backend_beat_healthcheck": {"retries": 3},
                    "postgres_settings": {"fsync": "off"},
                    "backend_tmpfs": ["/var/cache/shop:size=300m"],
                    "backend_worker_pools": {"mail": {"queues": ["mail"], "memory": "256m"}, "slow": {}},
                },
            ),
            ["-vvv"],
        ),
        # Entries that cannot be evaluated, beside others.
        "entries": (
            write(
                "entries",
                {
                    "backend_env": {"HOST": "{{ stack_database.hots }}", "API_TOKEN": IN_ENVIRONMENT},
                    "backend_secrets": {
                        "mail_password": "{{ stack_database['pasword'] }}",
                        "api_key": APPLICATION,
                        "other": "{{ nowhere.at_all }}",
                    },
                    "backend_files": {"/etc/shop.ini": "{{ 'x' | no_such_filter }} %s" % APPLICATION},
                },
            ),
            ["-vvv"],
        ),
        # Neither database nor Redis of the stack, no tree, no Celery.
        "published": (
            write(
                "published",
                {
                    "backend_processes": {
                        "mail": {"command": ["true"], "published_ports": ["127.0.0.1:%d:25" % free_port()]}
                    },
                    "nginx_tls_certificate_source": "files",
                    "nginx_tls_certificate": certificate(["shop.example.org"], key, issuer="Authority"),
                    "nginx_tls_certificate_key": pem(key),
                },
            ),
            [],
        ),
        "small": (
            write(
                "small",
                {
                    "backend_context": "",
                    "backend_packages": ["acme==1.0"],
                    "backend_redis_uses": {},
                    "backend_default_env": {},
                    "backend_default_secrets": {},
                    "backend_secret_env": {"SECRET_KEY": "{{ secret_django_key }}"},
                    "backend_worker_pools": {},
                    "backend_beat_enabled": False,
                },
                groups={"postgres": None, "redis": None, "worker": None, "backups": None},
            ),
            [],
        ),
    }
    with ThreadPoolExecutor(max_workers=2) as pool:
        yield {name: pool.submit(inventories.run, path, *options) for name, (path, options) in written.items()}


MISTAKES = [
    ("names", r"backed_domains \(.*10_env.yml:\d+\): looks misspelt; did you mean backend_domains\?"),
    ("names", r"postgres_memori \(.*10_env.yml:\d+\): unknown variable; did you mean postgres_memory\?"),
    ("names", r"nginx_tls_https_port = https \(.*\): wrong type or value; it must be of type int"),
    ("names", r"backend_static_root \(.*\): refers to statics, but that is not defined"),
    ("names", r"backend_release_commands = .*: wrong type or value; it must be of type list"),
    ("names", r"postgres_networks.ipv4_adress .*: unknown key; did you mean ipv4_address\?"),
    ("names", r"secret_redis_broker: missing; `make secrets ENV=prod` creates a strong one"),
    ("names", r"secret_redis_cache .*: has the same value as secret_django_key; give each secret a value of its own"),
    ("names", r"secret_postgres_owner .*: is a placeholder; remove the line and run `make secrets ENV=prod`"),
    ("names", r"secret_postgres_superuser .*: is shorter than 16 characters"),
    ("names", r"secret_backups_cipher .*: is empty"),
    ("names", r"backend_secrets.mail_password .*: is a placeholder; give a real one"),
    ("names", r"backend_env.API_TOKEN .*: is a secret in the environment; move it to backend_secret_env, or to"),
    ("names", r"backend_worker_pools.mail.queues = \[\] .*: names no queue"),
    ("names", r"backend_worker_pools.slow.concurrency = 0 .*: not a positive number"),
    ("names", r"group wokers: unknown; did you mean worker\?"),
    ("application", r"stack_name = cafe .*: consists of hexadecimal digits only"),
    ("application", r"stack_subnet_prefix = 127.0.0 .*: not a private network"),
    ("application", r"backend_image = registry.example.org/shop/web:latest .*: is tagged latest"),
    ("application", r"backend_domains = https://shop.example.org .*: is a URL"),
    ("application", r"backend_domains = \*.example.org .*: is a wildcard"),
    ("application", r"backend_domains = shop.example.org:8443 .*: has a port"),
    ("application", r"backend_env.DJANGO_DEBUG = 1 .*: is on outside dev"),
    ("application", r"nginx_tls_certificate .*: the private key does not belong to the certificate"),
    ("application", r"nginx_tls_certificate .*: the certificate is for .*, not for other.example.org, www.example.org"),
    ("application", r"localhost: nginx_tls_http_port = 127.0.0.1:\d+: taken by a process that listens on 127.0.0.1"),
    ("application", r"localhost: disk: \d+ MiB free in Docker's directory, 1000000000 are needed"),
    ("application", r"backend_beat_enabled = true: is on without a worker host"),
    ("hosts", r"stack_environment = production .*: wrong type or value; it must be one of dev, staging, prod"),
    ("hosts", r"backend_context = /nonexistent/application .*: no such directory on the controller"),
    ("hosts", r"secret_postgres_application .*: cannot be decrypted; put the password .* into .vault-password-"),
    ("hosts", r"far: is unreachable: .*Connection refused"),
    ("hosts", r"group edge: has no host"),
    ("hosts", r"group postgres = far, localhost: has 2 hosts where 1 can serve"),
    (
        "hosts",
        r"backend_backup_volumes = media: lies on localhost, while backups run on far: not backed up; put postgres",
    ),
    ("hosts", r"localhost: stack_private_address = localhost .*: not an IPv4 address at which other hosts reach"),
    ("hosts", r"far: stack_private_address = 127.0.0.1 .*: not an IPv4 address at which other hosts reach this one"),
    ("hosts", r"alone: is in no group; put it into one of postgres, redis, web, worker, edge, backups"),
    ("context", r"backend_requirements = requirements/none.txt .*: no such file in backend_context"),
    ("context", r"backend_domains = \[\] .*: empty"),
    ("tree", r"backend_context .*: .*/odd/control is neither a file nor a folder nor a link. Remove it, or name it in"),
    (
        "project",
        r"backend_requirements = requirements/prod.txt .*: requirements/prod.txt: is not UTF-8 .*; save it as UTF-8",
    ),
    ("project", r"backend_python .*: .python-version asks for Python 3.12, the image has 3.13; set backend_base_image"),
    # The groups of meta/stack_variables.yml
    ("packages", r"backend_redirect_domains = shop.example.org .*: is one of backend_domains as well"),
    ("packages", r"backend_packages = acme shop .*: not a requirement; write it as"),
    ("packages", r"backend_constraints = ../limits.txt .*: leads out of backend_context"),
    ("packages", r"backend_extras = \['s3'\] .*: only lock files know extras"),
    ("packages", r"backend_wheels_only_except = \['acme'\] .*: means nothing without backend_wheels_only"),
    ("packages", r"backend_system_packages = libPango .*: not the name of a Debian package"),
    ("packages", r"backend_base_image = python:latest .*: is tagged latest"),
    ("packages", r"backend_user = 0:0 .*: not the uid:gid of an unprivileged user"),
    ("packages", r"backend_manage = \['acme manage'\] .*: not a command; begin with the program alone"),
    ("packages", r"backend_wsgi = acme/wsgi.py .*: not module:callable"),
    ("packages", r"backend_env.SHOP-NAME .*: not the name of an environment variable"),
    ("packages", r"backend_env.DATABASE_URL .*: contains the value of secret_postgres_application; move it to"),
    ("packages", r"backend_redis_uses.broker.instance = brokre .*: no such instance; name one of .*: broker, cache"),
    ("packages", r"backend_secrets.mail/key .*: not a name in /run/secrets"),
    ("packages", r"backend_files./run/secrets/settings.ini .*: lies in a directory of the stack's own"),
    ("packages", r"backend_files.etc/settings.ini .*: not an absolute path"),
    (
        "packages",
        r'backend_secret_files./etc/acme.ini.mode .*: not a mode; write it octal and in quotes, such as "0440"',
    ),
    ("runtime", r"backend_worker_pools.mail.queue .*: unknown key; did you mean queues\?"),
    ("runtime", r"backend_periodic_commands.clean.schedule = 61 \* \* \* \* .*: not a time of cron"),
    ("runtime", r"backend_periodic_commands.report .*: has not exactly one of schedule and every"),
    ("runtime", r"backend_processes.listener.command = acme listen .*: wrong type or value; it must be of type list"),
    ("runtime", r"backend_worker_pools.bulk.healthcheck.test .*: missing; add the key"),
    ("runtime", r"backend_processes.relay.healthcheck.retry .*: unknown key; did you mean retries\?"),
    ("runtime", r"backend_beat_healthcheck.tset .*: unknown key; did you mean test\?"),
    ("runtime", r"backend_release_commands = python manage.py migrate .*: wrong type; give a list of arguments"),
    ("runtime", r"backend_static_url = static/ .*: not a path between slashes"),
    ("runtime", r"backend_volumes.media.path = srv/media .*: not an absolute path"),
    ("runtime", r"backend_volumes.redis-data .*: is the name of a volume of the stack's own"),
    ("runtime", r"backend_tmpfs = cache .*: not an absolute path"),
    ("runtime", r"backend_health_path = health .*: not a path; begin it with a slash"),
    ("runtime", r"backend_health_statuses = 2000 .*: not a status of HTTP"),
    ("runtime", r"backend_health_timeout_seconds = 0 .*: not a positive number; give seconds"),
    ("runtime", r"backend_upload_max_size = 25 MB .*: not a size of nginx"),
    ("runtime", r"backend_locations./downloads/ = return 404 .*: not directives of nginx"),
    ("runtime", r"backend_web_memory = 8m .*: not a size, or too small"),
    ("runtime", r"backend_web_cpus = -1 .*: is negative"),
    ("runtime", r"group postgres: has no host, but backend_default_secrets refers to stack_database"),
    ("runtime", r"group redis: has no host, but backend_default_secrets refers to stack_redis"),
    ("roles", r"backups_full_schedule .*: 'daily' is not a cron expression of five fields"),
    ("roles", r"postgres_hba .*: a rule reads '<type> <database> <user> <address> <method>', its method is"),
    ("roles", r"postgres_application_user .*: must differ from postgres_owner and from postgres, the superuser"),
    ("roles", r"secret_postgres_application .*: must consist of printable ASCII characters"),
    ("roles", r"redis_instances.broker.max_memory .*: unknown key; did you mean maxmemory\?"),
    ("roles", r"nginx_tls_server_names .*: 192.0.2.1 is an address; give a host name"),
    ("roles", r"gateway_services .*: web: target must be address:port"),
    ("roles", r"celery_worker_periodic_commands.Tidy .*: the name may hold lower-case letters, digits and dashes"),
    ("instances", r"backend_beat_healthcheck .*: test is missing; write for example {test: "),
    ("instances", r"postgres_settings.fsync = off .*: loses the database at a crash; take it out, or give the reason"),
    (
        "instances",
        r"backend_tmpfs .*: may hold 300 MiB, which is all of backend_beat_memory \(256m\) or more, so",
    ),
    ("instances", r"backend_tmpfs .*: may hold 300 MiB, which is all of backend_worker_pools.mail.memory \(256m\) or"),
    ("entries", r"backend_env.HOST \(.*\): refers to stack_database.hots, but there is none; did you mean host\?"),
    ("entries", r"backend_env.API_TOKEN \(.*\): is a secret in the environment; move it to backend_secret_env"),
    (
        "entries",
        r"backend_secrets.mail_password \(.*\): refers to stack_database.pasword, but there is none; did you mean p",
    ),
    ("entries", r"backend_secrets.other \(.*\): refers to nowhere, but that is not defined; define it"),
    ("entries", r"backend_files./etc/shop.ini \(.*\): cannot be evaluated: .*no_such_filter"),
    ("instances", r"redis_instances.broker .*: maxmemory plenty is not a size; write for example 256mb"),
]


@pytest.mark.parametrize(("inventory", "line"), MISTAKES)
def test_mistake_is_one_line_of_the_report(runs: dict[str, Future[Run]], inventory: str, line: str) -> None:
    run = runs[inventory].result()
    found = [text for text in run.report if re.search("^(localhost: )?%s" % line, text)]
    assert len(found) == 1, run.output


@pytest.mark.parametrize(
    "inventory",
    sorted({inventory for inventory, _line in MISTAKES}),
)
def test_nothing_but_the_mistakes_is_reported(runs: dict[str, Future[Run]], inventory: str) -> None:
    run = runs[inventory].result()
    assert run.code != 0
    assert len(run.report) == sum(name == inventory for name, _line in MISTAKES), "\n".join(run.report)
    assert "changed=0" in run.output
    assert "changed=1" not in run.output


@pytest.mark.parametrize("inventory", ["fine", "published", "small"])
def test_a_good_inventory_passes_in_one_short_line(runs: dict[str, Future[Run]], inventory: str) -> None:
    run = runs[inventory].result()
    assert run.code == 0, run.output
    assert "Preflight found no problem on 1 host." in run.output


def test_a_certificate_without_its_chain_is_told(runs: dict[str, Future[Run]]) -> None:
    output = runs["published"].result().output
    assert re.search(r"nginx_tls_certificate \(.*\): has no chain, .*; append the certificates of its issuers", output)


def test_no_secret_is_printed_at_any_verbosity(runs: dict[str, Future[Run]]) -> None:
    output = "".join(runs[name].result().output for name in ("names", "packages", "roles", "instances", "entries"))
    for secret in (*SECRETS.values(), NOT_ASCII, DUPLICATE, SHORT, IN_ENVIRONMENT, APPLICATION):
        assert secret not in output
