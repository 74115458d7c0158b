"""Payloads of all kinds, by a seed: JSON that parsers disagree about, JSON that is broken in one place, text, bytes;
and what a strict reader says of them."""

import json
import random
import sys

sys.setrecursionlimit(10000)

DEPTH = 512                     # what rkbridge takes at most
NUMBERS = ["0", "-0", "1.0", "1e400", "-1E-400", "12345678901234567890", "0.1000000000000000055511151231257827", "1E+2",
           "9" * 5000]
STRINGS = ["", "a", "\\u0000", "\\ud800", "\\udc00\\ud800", "\\ud83d\\ude00", "\\u0041", "\\/\\b\\f\\n\\r\\t",
           "\\\"\\\\", "\u00e9\u2028\U0001f600", "\x7f", "{{uuid}}", "__proto__", "x" * 300]
SPACES = ["", "", "", " ", "\n", "\t\r\n  "]
TEXTS = ["", " ", "plain", "NaN", "Infinity", "-", "01", "1.", ".5", "+1", "1e", "tru", "nulll", "'a'", "[1,]",
         "{\"a\":1,}", "{a:1}", "{\"a\"}", "1 2", "\ufeff{}", "\ufeff", "nul \x00 inside", "\x00", "\"tab\tinside\"",
         "\"\x1f\"", "\"\\x41\"", "\"\\u12g4\"", "\"open", "// c", "\u2028", "\\ud800", "]", "{", "\x0b1"]
BYTES = [b"\xff", b"\x80", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xc3", b"\"\xff\"", b"{\"\xc3\":1}",
         bytes(range(256))]


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def space(self):
        return self.random.choice(SPACES)

    def string(self):
        return '"' + "".join(self.random.choices(STRINGS, k=self.random.randrange(3))) + '"'

    def value(self, depth=0):
        kind = self.random.randrange(8 if depth < 6 else 5)
        if kind < 2:
            return self.random.choice(NUMBERS[:-1] if depth else NUMBERS)
        if kind == 2:
            return self.random.choice(["true", "false", "null"])
        if kind < 5:
            return self.string()
        items = [self.space() + (self.string() + self.space() + ":" + self.space() if kind > 6 else "")
                 + self.value(depth + 1) + self.space()
                 for _ in range(self.random.randrange(4))]
        if kind > 6 and items:
            items += self.random.choices(items, k=self.random.randrange(2))         # keys that are there twice
        return ("{%s}" if kind > 6 else "[%s]") % (",".join(items) or self.space())

    def json(self):
        return (self.space() + self.value() + self.space()).encode()

    def broken(self):
        """JSON in which one byte is another, too much or missing; or its beginning."""
        text = bytearray(self.json() or b" ")
        at = self.random.randrange(len(text))
        odd = self.random.random() < 0.8
        byte = self.random.choice(b'\x00"\\{}[],:0e-. \xff\xc3') if odd else self.random.randrange(256)
        way = self.random.randrange(4)
        if way == 0:
            text[at] = byte
        elif way == 1:
            text.insert(at, byte)
        elif way == 2:
            del text[at]
        else:
            del text[at:]
        return bytes(text)

    def any(self):
        way = self.random.randrange(10)
        if way < 5:
            return self.json()
        return self.broken() if way < 9 else self.random.randbytes(self.random.choice([0, 1, 2, 3, 20, 4096]))


def nested(depth, open_with="[", close_with="]", inside="1"):
    return (open_with * depth + inside + close_with * depth).encode()


def generate(seed, count):
    """`count` payloads, the special ones first."""
    generator = Generator(seed)
    made = [text.encode() for text in TEXTS + NUMBERS + ['"%s"' % string for string in STRINGS]] + BYTES
    made += [nested(depth) for depth in (DEPTH - 1, DEPTH, DEPTH + 1, 5000)]
    made += [nested(DEPTH + 1, "[", ""), nested(DEPTH, '{"a":', "}")]
    made += [nested(DEPTH + 1, '{"a":', "}"), b"[" * 100000]
    return made + [generator.any() for _ in range(count - len(made))]


def depth_of(text):
    """How deep JSON is nested."""
    depth = most = 0
    string = escaped = False
    for character in text:
        if string:
            string = escaped or character != '"'
            escaped = not escaped and character == "\\"
        elif character == '"':
            string = True
        elif character in "{[":
            depth += 1
            most = max(most, depth)
        elif character in "}]":
            depth -= 1
    return most


def refuse(constant):
    raise ValueError(f"{constant} is not JSON")


def parse(value):
    """JSON (RFC 8259) as pairs, lists, and the text of numbers, so that nothing is folded or rounded;
    ValueError for what is none."""
    return json.loads(value.decode(), parse_int=lambda text: ("number", text),
                      parse_float=lambda text: ("number", text), parse_constant=refuse,
                      object_pairs_hook=lambda pairs: ("object", pairs))


def kind(payload, depth=DEPTH):
    """json, text or base64: what rkbridge is to take the payload for."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return "base64"
    try:
        parse(payload)
    except (ValueError, RecursionError):
        return "text"
    return "json" if depth_of(text) <= depth else "text"
