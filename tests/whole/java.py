"""Runs a Java program of one file, with Kafka's own client among its jars. The JRE of Debian compiles it as it
starts."""

import pathlib
import subprocess

import broker

KAFKA = pathlib.Path(broker.__file__).parent


def run(source, *arguments, input="", timeout=60):
    """source: a path, or the name of a file in tests/kafka. Returns what it printed; fails unless it ends with 0."""
    command = ["java", *broker.JVM, "-Dfile.encoding=UTF-8", "-cp", str(broker.jars() / "*"), str(KAFKA / source),
               *arguments]
    done = subprocess.run(command, input=input, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"{source} ended with {done.returncode}: {done.stderr[-3000:]}"
    return done.stdout
