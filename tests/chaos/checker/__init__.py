"""The campaign's checker: reads a run directory and says what is wrong.

    published.jsonl --\\
    kafka.jsonl -------+--> messages.py: missing, repeated, under two UUIDs, out of order     --\\
    gaps.json ---------+--> ledger.py: bounds that hold, causes, the topic of gaps                +--> Findings
    books.jsonl -------+--> books.py: the sum at every sample, over all lives                   --/
    process.jsonl, lives.jsonl, bridge.log --> process.py, log.py

It shares no code with the bridge nor with what makes the run: the run directory is all it knows. It trusts the
publishers (what they tried, when, and what Redis answered) and the consumer (what Kafka holds), and nothing that the
bridge says but against those two.
"""

from .findings import Findings
from .rundir import RunDirectory
from . import books, ledger, log, messages, process

PARTS = (messages.check, ledger.check, books.check, process.check, log.check)


def check(directory):
    """Findings and figures of one run directory."""
    found = Findings()
    run = RunDirectory(directory, found)
    for part in PARTS:
        part(run, found)
    return found
