# SPDX-License-Identifier: Apache-2.0
"""How a cell of a row becomes what the network reads: a row of a table, several, or a number.

A rule stands for both sides: `*_json()` are its entries in model.json (docs/model-json.md has the meaning of each
key), and `encode()` computes the same in Python, which the original module is fed with for the check.
"""
import bisect
import math

from .errors import ExportError
from .hashes import HASHES

REFUSE, DROP = "refuse", "drop"


def is_missing(cell):
    if type(cell).__name__ in ("NAType", "NaTType"):  # pandas'
        return True
    cell = cell.item() if hasattr(cell, "item") else cell
    return cell is None or cell == "" or (isinstance(cell, float) and math.isnan(cell))


def text_of(cell):
    """A cell as the text that a request would hold."""
    return cell if isinstance(cell, str) else str(cell.item() if hasattr(cell, "item") else cell)


def as_vocabulary(source):
    """{text: row} of a dict, of a list in the order of the rows, or of a scikit-learn LabelEncoder."""
    if isinstance(source, dict):
        return {text_of(text): int(row) for text, row in source.items()}
    vocabulary = {text_of(text): row for row, text in enumerate(getattr(source, "classes_", source))}
    if len(vocabulary) != len(getattr(source, "classes_", source)):
        raise ExportError("a vocabulary has two entries of the same text; make it a dict of texts and rows")
    return vocabulary


def without_defaults(entries):
    return {key: value for key, value in entries if value is not None}


class Category:
    """One value per cell, which names one row of a table.

    vocabulary: see as_vocabulary(). Without one the row is the cell's whole number (`modulus`: modulo it), or with
    `hash`, a name of hashes.HASHES, the hash of `prefix` and the text, modulo `modulus`.
    column: the column of the request, if its name differs from the rule's.
    first_row: is added to the row. unseen, missing: a row, "drop", "refuse", or {"as": text}.
    steps: the column holds numbers, and these steps make the whole number that is looked up (see Number).
    """
    is_list = False

    def __init__(self, vocabulary=None, column=None, first_row=0, unseen=REFUSE, missing=REFUSE, modulus=None,
                 hash=None, prefix=None, steps=None):
        if hash is not None and hash not in HASHES:
            raise ExportError("hash %r is not known; known are %s" % (hash, ", ".join(HASHES)))
        if hash and not modulus:
            raise ExportError("a hash needs modulus, the number of rows")
        self.vocabulary = None if vocabulary is None else as_vocabulary(vocabulary)
        self.column, self.first_row, self.unseen, self.missing = column, first_row, unseen, missing
        self.modulus, self.hash, self.prefix, self.steps = modulus, hash, prefix, steps

    @property
    def is_number(self):
        return self.steps is not None

    def vocabulary_json(self):
        rows = sorted(self.vocabulary.items(), key=lambda item: item[1])
        if [row for _, row in rows] == list(range(len(rows))):
            return {"values": [text for text, _ in rows]}
        return {"values": dict(rows)}

    def lookup_json(self, name):
        column = self.column or name
        for key, rule in (("unseen", self.unseen), ("missing", self.missing)):
            if isinstance(rule, dict) and self.vocabulary is not None and rule["as"] not in self.vocabulary:
                raise ExportError("column %s: %s=%r: the vocabulary has no %r; leave %s out, and such a cell is refused" %
                                  (column, key, rule, rule["as"], key))
        return without_defaults([
            ("column", column if column != name else None),
            ("vocabulary", name if column != name and self.vocabulary is not None else None),
            ("hash", self.hash), ("prefix", self.prefix),
            ("integer", True if self.vocabulary is None and not self.hash else None), ("modulus", self.modulus),
            ("first_row", self.first_row or None),
            ("unseen", self.unseen if self.unseen != REFUSE and self.vocabulary is not None else None),
            ("missing", self.missing if self.missing != REFUSE else None), ("steps", self.steps)])

    def encode_text(self, text, where):
        if self.hash:
            return self.first_row + HASHES[self.hash](((self.prefix or "") + text).encode()) % self.modulus
        if self.vocabulary is None:
            return self.first_row + (int(text) % self.modulus if self.modulus else int(text))
        if text in self.vocabulary:
            return self.first_row + self.vocabulary[text]
        return self._special(self.unseen, "%r is not in the vocabulary" % text, where)

    def _special(self, rule, reason, where):
        if rule == REFUSE:
            raise ExportError("%s: %s, and no rule says which row stands for it; pass unseen= or missing=" % (where, reason))
        if isinstance(rule, dict):
            return self.encode_text(rule["as"], where)
        return None if rule == DROP else int(rule)

    def encode(self, cell, where):
        """The row of the table, or None if the cell is left out."""
        if self.steps is not None:
            cell = text_of(int(apply_steps(self.steps, cell, where)))
        if is_missing(cell):
            return self._special(self.missing, "the cell is empty", where)
        return self.encode_text(text_of(cell), where)


class Tags(Category):
    """Several values per cell: a list of texts, or one text with `separator` between them.

    max, keep: so many values, the "first" or "last" ones. pad, pad_row: a shorter list is filled up in "front" or
    "behind" with this row. pooling: "sum", "mean" or "max"; mask, epsilon: as a part of model.json.
    """
    is_list = True

    def __init__(self, vocabulary=None, separator="|", max=None, keep="first", pad=None, pad_row=None, pooling=None,
                 mask=None, epsilon=None, missing=DROP, **others):
        super().__init__(vocabulary, missing=missing, **others)
        if self.steps is not None:
            raise ExportError("a column of lists holds texts, so that it has no steps")
        self.separator, self.max, self.keep, self.pad, self.pad_row = separator, max, keep, pad, pad_row
        self.pooling, self.mask, self.epsilon = pooling, mask, epsilon

    def lookup_json(self, name):
        entries = super().lookup_json(name)
        entries.update(without_defaults([("max", self.max), ("keep", self.keep if self.max else None), ("pad", self.pad),
                                         ("pad_row", self.pad_row)]))
        return entries

    def texts(self, cell):
        """The values of a cell. An empty one is passed over, unless the vocabulary has a row for it."""
        if is_missing(cell) if not isinstance(cell, (list, tuple)) else not cell:
            return []
        items = cell if isinstance(cell, (list, tuple)) else text_of(cell).split(self.separator)
        is_word = "" in (self.vocabulary or {})  # else an empty text is padding
        return [text_of(item) for item in items if not is_missing(item) or (is_word and item == "")]

    def encode(self, cell, where):
        """The rows of the table."""
        texts = self.texts(cell)
        found = [self.encode_text(text, where) for text in texts] if texts else \
            [self._special(self.missing, "the cell is empty", where)]
        rows = [row for row in found if row is not None]
        if self.max:
            rows = rows[:self.max] if self.keep == "first" else rows[-self.max:]
        if self.pad:
            filling = [self.pad_row] * (self.max - len(rows))
            rows = filling + rows if self.pad == "front" else rows + filling
        return rows


class Number:
    """A number per cell. steps: those of model.json, such as [{"fill": 0}, {"subtract": 3.5}, {"divide": 2}]."""
    is_list, is_number = False, True

    def __init__(self, steps=(), column=None):
        self.steps, self.column = list(steps), column

    def value_json(self, name):
        return without_defaults([("column", self.column if self.column not in (None, name) else None),
                                 ("steps", self.steps)])

    def encode(self, cell, where):
        return apply_steps(self.steps, cell, where)


def scaled(scaler, names, fill=None):
    """{name: Number} of a fitted StandardScaler or MinMaxScaler over these columns; fill: stands for a missing number
    before it is scaled."""
    rules = {}
    for i, name in enumerate(names):
        steps = [] if fill is None else [{"fill": float(fill)}]
        if hasattr(scaler, "data_min_"):
            if getattr(scaler, "clip", False):
                low, high = scaler.feature_range
                bounds = [{"clip": [float(low), float(high)]}]
            else:
                bounds = []
            steps += [{"multiply": float(scaler.scale_[i])}, {"add": float(scaler.min_[i])}] + bounds
        elif hasattr(scaler, "var_"):
            steps += [{"subtract": float(scaler.mean_[i])}] if scaler.mean_ is not None else []
            steps += [{"divide": float(scaler.scale_[i])}] if scaler.scale_ is not None else []
        else:
            raise ExportError("%s is neither a fitted StandardScaler nor a fitted MinMaxScaler; pass Number(steps)" %
                              type(scaler).__name__)
        rules[name] = Number(steps)
    return rules


def _squared_log(value):
    return float(int(math.log(value) ** 2)) if value > 2 else value - 2


STEPS = {
    "fill": lambda v, a: a if math.isnan(v) else v,
    "add": lambda v, a: v + a, "subtract": lambda v, a: v - a,
    "multiply": lambda v, a: v * a, "divide": lambda v, a: v / a,
    "log": lambda v, a: math.log(v + a),
    "clip": lambda v, a: min(max(v, -math.inf if a[0] is None else a[0]), math.inf if a[1] is None else a[1]),
    "bucket": lambda v, edges: float(bisect.bisect_right(edges, v)),
    "bucket_below": lambda v, edges: float(bisect.bisect_left(edges, v)),
    "is_missing": lambda v, _: float(math.isnan(v)),
    "signed_log": lambda v, _: math.copysign(math.log(abs(v) + 1), v),
    "truncate": lambda v, _: float(int(v)),
    "squared_log": lambda v, _: _squared_log(v),
}


def apply_steps(steps, cell, where):
    """The number that the steps of model.json make of a cell, in double."""
    value = math.nan if is_missing(cell) else float(cell)
    for step in steps:
        name, argument = next(iter(step.items())) if isinstance(step, dict) else (step, None)
        if name not in STEPS:
            raise ExportError("%s: the step %r is not known; docs/model-json.md lists them" % (where, name))
        value = STEPS[name](value, argument)
    if math.isnan(value):
        raise ExportError("%s: the number is missing, and no step {\"fill\": ..} stands for it" % where)
    return value


def as_rules(columns):
    """{name: rule} of what a user passes: rules as they are, "number", and vocabularies (see as_vocabulary())."""
    rules = {}
    for name, given in columns.items():
        if isinstance(given, (Category, Number)):
            rules[name] = given
        elif given == "number" if isinstance(given, str) else False:
            rules[name] = Number()
        elif isinstance(given, (dict, list, tuple)) or hasattr(given, "classes_"):
            rules[name] = Category(given)
        else:
            raise ExportError("column %s: %r is no rule; pass Category, Tags, Number, a vocabulary or \"number\"" % (name, given))
    return rules
