# SPDX-License-Identifier: Apache-2.0
"""Rows as people have them, as columns; as CSV for dcnv2-score; as the inputs of golden.json."""
import csv

from .columns import is_missing, text_of
from .errors import ExportError


def as_columns(rows):
    """{column: [cell, ..]} of a dict of lists, a list of dicts, a DataFrame, or the path of a CSV file."""
    if isinstance(rows, str) or hasattr(rows, "__fspath__"):
        with open(rows, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    if hasattr(rows, "to_dict"):
        rows = rows.to_dict("list")
    if not isinstance(rows, dict):
        rows = list(rows)
        rows = {name: [row[name] for row in rows] for name in (rows[0] if rows else {})}
    lengths = {len(cells) for cells in rows.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise ExportError("the rows have columns of %s cells; pass one row or more, and as many cells per column" % sorted(lengths))
    return {name: list(cells) for name, cells in rows.items()}


def raw_columns(rules):
    """{column of a request: a rule that reads it}, in the order of the rules."""
    found = {}
    for name, rule in rules.items():
        column = rule.column or name
        known = found.setdefault(column, rule)
        if (known.is_number, known.is_list) != (rule.is_number, rule.is_list):
            raise ExportError("column %s is read as a number or a list by one rule, and as one text by another" % column)
    return found


def column_json(name, rule):
    if rule.is_number:
        return {"name": name, "type": "number"}
    return {"name": name, "list": True, "separator": rule.separator} if rule.is_list else {"name": name}


def check_columns(columns, rows):
    missing = [name for name in columns if name not in rows]
    if missing:
        raise ExportError("the rows have no column %s; they have %s" % (", ".join(missing), ", ".join(rows)))


def encode(rules, rows):
    """{name of a rule: [what its encode() gives, ..]}"""
    return {name: [rule.encode(cell, "column %s, row %d" % (rule.column or name, i))
                   for i, cell in enumerate(rows[rule.column or name])] for name, rule in rules.items()}


def _csv_cell(rule, cell, name):
    if not rule.is_list:
        return "" if is_missing(cell) else text_of(cell)
    texts = rule.texts(cell)
    if any(rule.separator in text for text in texts):
        raise ExportError("column %s: %r holds the separator %r; pass Tags(separator=..)" % (name, texts, rule.separator))
    return rule.separator.join(texts)


def write_csv(path, columns, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*([_csv_cell(rule, cell, name) for cell in rows[name]] for name, rule in columns.items())))


def _json_cell(rule, cell):
    if rule.is_list:
        texts = rule.texts(cell)
        return rule.separator.join(texts) if texts and texts[-1] == "" else texts  # at the end of a list it would be padding
    if rule.is_number:
        return None if is_missing(cell) else float(cell)
    return "" if is_missing(cell) else text_of(cell)


def golden(columns, rows, predictions, tolerance):
    """The object of golden.json: a v1 request beside its reply."""
    instance = {name: [_json_cell(rule, cell) for cell in rows[name]] for name, rule in columns.items()}
    return {"tolerance": tolerance, "inputs": [instance], "predictions": [float(p) for p in predictions]}
