"""The stories of contrib/examples, as their READMEs tell them: their configs, publishers and consumers as they stand."""

import os
import pathlib
import signal
import sqlite3
import subprocess
import sys

import pytest
from confluent_kafka.admin import AdminClient

from consumer import QUIET
from waiting import wait_for

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "contrib" / "examples"


class Story:
    """One example: its programs run in a directory of their own, with the servers' addresses in the environment."""

    def __init__(self, name, directory, environment):
        self.source = EXAMPLES / name
        self.directory = directory
        self.environment = environment
        self.running = []

    def start(self, program, *arguments):
        with (self.directory / "output").open("ab") as output:
            self.running.append(subprocess.Popen([sys.executable, str(self.source / program), *map(str, arguments)], stdin=subprocess.DEVNULL,
                                                 stdout=output, stderr=output, cwd=self.directory,
                                                 env={**os.environ, **self.environment}))
        return self.running[-1]

    def run(self, program, *arguments, timeout=60):
        assert self.start(program, *arguments).wait(timeout) == 0, (self.directory / "output").read_text()

    def stop(self, process):
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, (self.directory / "output").read_text()

    def rows(self, database, query):
        path = self.directory / (database + ".db")
        if not path.exists():
            return []
        with sqlite3.connect(path, timeout=20) as connection:
            try:
                return connection.execute(query).fetchall()
            except sqlite3.OperationalError:        # the tables are not there yet
                return []

    def clean(self):
        for process in self.running:
            if process.poll() is None:
                process.kill()
                process.wait(20)


@pytest.fixture
def story(make_bridge, redis, kafka, tmp_path):
    """Starts the bridge of an example with its own config; gives its Story, in which `bridge` is that bridge."""
    stories, topics = [], []

    def make(name, *creates, changed=lambda text: text):
        topics.extend(creates)
        environment = {"REDIS": redis.url(), "KAFKA": kafka.bootstrap}
        one = make_bridge({}, environment=environment)
        one.environment["DIR"] = str(one.short)
        one.write_config(changed((EXAMPLES / name / "rkbridge.yaml").read_text()))
        stories.append(Story(name, tmp_path, environment))
        stories[-1].bridge = one.start()
        return stories[-1]

    yield make
    for one in stories:
        one.clean()
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap, **QUIET})
    for future in admin.delete_topics(topics, operation_timeout=20).values():
        future.result(30)


def test_user_created(story):
    this = story("user_created", "user_activity")

    def users(service):
        return this.rows(service, "SELECT id, email FROM users ORDER BY id")

    def created(first, last):
        return [(number, f"user{number}@example.com") for number in range(first, last + 1)]

    accounts = this.start("consumer.py", "accounts")
    this.run("publish.py", 1, 3)
    wait_for("the first users", lambda: users("accounts") == created(1, 3))
    this.stop(accounts)
    this.run("publish.py", 4, 60)               # while the service is down
    this.bridge.wait_totals(received=63, pending=0)
    this.start("consumer.py", "accounts")
    this.start("consumer.py", "newsletter")     # a new service: all users from the first on
    for service in ("accounts", "newsletter"):
        wait_for(f"all users in {service}", lambda name=service: users(name) == created(1, 63))

    # The same service, which Kafka does not know any more: it reads all once again, then what is new, and no user is there twice.
    for process in this.running[-2:]:
        this.stop(process)
    (this.directory / "again.db").symlink_to("accounts.db")
    this.run("publish.py", 64, 20)
    this.start("consumer.py", "again")
    wait_for("the users that are new", lambda: set(created(64, 83)) <= set(users("accounts")))
    assert users("accounts") == created(1, 83) and users("newsletter") == created(1, 63)
