"""Reads a PromQL expression far enough to say which series and labels it names. It checks no types and evaluates
nothing: promtool and Prometheus do. Grafana's variables may stand in strings and ranges.

What it knows as keywords, aggregations and functions is what Prometheus 2.42 has; a name that is none of these and is
followed by a parenthesis is an error, so that a new function is not taken for something else in silence.
"""

import re
from dataclasses import dataclass, field

AGGREGATIONS = {
    "sum", "min", "max", "avg", "count", "group", "stddev", "stdvar", "topk", "bottomk", "quantile", "count_values",
}  # fmt: skip
LABEL_LISTS = {"by", "without", "on", "ignoring", "group_left", "group_right"}
OPERATORS = {"and", "or", "unless", "bool", "offset"}
FUNCTIONS = {
    "abs", "absent", "absent_over_time", "avg_over_time", "ceil", "changes", "clamp", "clamp_max", "clamp_min",
    "count_over_time", "delta", "deriv", "exp", "floor", "histogram_quantile", "idelta", "increase", "irate",
    "label_join", "label_replace", "last_over_time", "log10", "log2", "max_over_time", "min_over_time",
    "predict_linear", "present_over_time", "quantile_over_time", "rate", "resets", "round", "scalar", "sort",
    "sort_desc", "sqrt", "sum_over_time", "time", "timestamp", "vector",
}  # fmt: skip
#: Functions that only make sense of something that never falls.
OF_COUNTERS = {"rate", "irate", "increase", "resets"}

_TOKEN = re.compile(
    r"""\s+
      | (?P<comment>\#[^\n]*)
      | (?P<string>"(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | `[^`]*`)
      | (?P<range>\[[^\]]*\])
      | (?P<name>[A-Za-z_:][A-Za-z0-9_:]*)
      | (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?(?:ms|[smhdwy])?(?:\d+(?:ms|[smhdwy]))*)
      | (?P<variable>\$[A-Za-z_]\w*)
      | (?P<sign>=~ | !~ | != | == | >= | <= | [-+*/%^(){},=<>@])
    """,
    re.VERBOSE,
)


class Unreadable(ValueError):
    pass


@dataclass
class Selector:
    """One vector selector as it stands: `text` can be asked for by itself."""

    name: str
    matchers: list  # (label, operator, value)
    ranged: bool = False
    under: str = ""  # the innermost function around it
    text: str = ""


@dataclass
class Query:
    selectors: list = field(default_factory=list)
    listed: list = field(default_factory=list)  # (by, without, on, …; label)
    made: set = field(default_factory=set)  # labels that label_replace and its like make
    bare: bool = False  # an aggregation without `by` and `without` is in it: no labels are left


def tokens_of(text):
    at, found = 0, []
    while at < len(text):
        match = _TOKEN.match(text, at)
        if not match:
            raise Unreadable(f"cannot read {text[at:at + 20]!r} in {text!r}")
        if match.lastgroup and match.lastgroup != "comment":
            found.append((match.lastgroup, match.group(), match.start(), match.end()))
        at = match.end()
    return found


class _Reader:
    def __init__(self, text):
        self.text = text
        self.tokens = tokens_of(text)
        self.at = 0
        self.query = Query()
        self.around = []  # what each open parenthesis belongs to: a function's name, or ""

    def peek(self, ahead=0):
        at = self.at + ahead
        return self.tokens[at][:2] if at < len(self.tokens) else (None, None)

    def take(self, expected=None):
        kind, text = self.peek()
        if kind is None or expected not in (None, text):
            raise Unreadable(f"expected {expected or 'more'}, got {text!r} in {self.text!r}")
        self.at += 1
        return kind, text

    def read(self):
        while self.at < len(self.tokens):
            kind, text = self.peek()
            if kind == "name":
                self.read_name(text)
            elif text == "{":
                raise Unreadable(f"a selector without a name in {self.text!r}")
            else:
                self.at += 1
                if text == "(":
                    self.around.append("")
                elif text == ")":
                    if not self.around:
                        raise Unreadable(f"one ) too many in {self.text!r}")
                    self.around.pop()
        if self.around:
            raise Unreadable(f"a ) is missing in {self.text!r}")
        return self.query

    def read_name(self, name):
        opens = self.peek(1)[1] == "("
        if name in LABEL_LISTS and opens:
            self.at += 1
            for label in self.label_list():
                self.query.listed.append((name, label))
        elif name in OPERATORS or name in ("group_left", "group_right") or name.lower() in ("inf", "nan"):
            self.at += 1
        elif name in AGGREGATIONS and (opens or self.peek(1)[1] in ("by", "without")):
            self.query.bare |= opens and name not in ("topk", "bottomk")
            self.at += 1
        elif opens:
            if name not in FUNCTIONS:
                raise Unreadable(f"no function is called {name} in {self.text!r}")
            if name in ("label_replace", "label_join"):
                self.note_made_label()
            self.at += 2
            self.around.append(name)
        else:
            self.read_selector(name)

    def note_made_label(self):
        """The second argument of label_replace and label_join, the first string in it."""
        for kind, text, _, _ in self.tokens[self.at :]:
            if kind == "string" and not text.startswith(('"$', "'$")):
                if re.fullmatch(r"[a-z_]+", text[1:-1]):
                    self.query.made.add(text[1:-1])
                    return

    def label_list(self):
        self.take("(")
        labels = []
        while self.peek()[1] != ")":
            kind, text = self.take()
            if kind == "name":
                labels.append(text)
            elif text != ",":
                raise Unreadable(f"{text!r} is no label in {self.text!r}")
        self.take(")")
        return labels

    def read_selector(self, name):
        begin = self.tokens[self.at][2]
        self.at += 1
        matchers = []
        if self.peek()[1] == "{":
            self.take()
            while self.peek()[1] != "}":
                kind, label = self.take()
                if label == ",":
                    continue
                _, operator = self.take()
                value_kind, value = self.take()
                if kind != "name" or operator not in ("=", "!=", "=~", "!~") or value_kind != "string":
                    raise Unreadable(f"{label} {operator} {value} is no matcher in {self.text!r}")
                matchers.append((label, operator, value[1:-1]))
            self.take("}")
        end = self.tokens[self.at - 1][3]
        ranged = self.peek()[0] == "range"
        under = next((name for name in reversed(self.around) if name), "")
        self.query.selectors.append(Selector(name, matchers, ranged, under, self.text[begin:end]))


def read(text):
    """A Query; Unreadable when the text is none, as far as this can tell."""
    return _Reader(text).read()
