#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/model.schema.json beside the model.json of each reference model, beside those that the documentation shows,
and beside the reader: the schema has each key and name that the reader knows, and no other.

Run with the packages of requirements.txt.
"""
import glob
import json
import os
import pathlib
import re
import sys

import jsonschema

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import ROOT, check


def text_of(path):
    with open(os.path.join(ROOT, path), encoding='utf-8') as file:
        return file.read()


SCHEMA = json.loads(text_of('docs/model.schema.json'))
EXAMPLES = sorted(glob.glob(os.path.join(ROOT, 'tests/golden/models/*/*/model.json')))


def names_of_schema(node, names):
    """The keys, and the texts that stand for something, of a schema."""
    if isinstance(node, list):
        for item in node:
            names_of_schema(item, names)
    elif isinstance(node, dict):
        names.update(node.get('properties', {}))
        names.update(n for n in [*node.get('enum', []), node.get('const')] if isinstance(n, str))
        for item in node.values():
            names_of_schema(item, names)
    return names


def names_of_reader():
    """Those of the tables that the reader is made of."""
    names = set()
    for path in glob.glob(os.path.join(ROOT, 'src/network/json_*.c')):
        source = text_of(path)
        for table in re.findall(r'\bconst (?:keys|types|of_block|json_\w+_names)\[\w*\] = \{(.*?)\};', source, re.S):
            names.update(re.findall(r'"([^"]+)"', table))
        names.update(re.findall(r'keys\[n(?:_keys)?\+\+\] = "(\w+)"', source))
        names.update(re.findall(r'text_is\(\w+->text, "(\w+)"\)', source))
    kinds = text_of('src/network/kinds.c')
    names.update(re.findall(r'(?:\.key = |\.name = |WIDE\(|STATISTIC\()"(\w+)"', kinds))
    names.update(re.findall(r'\[ACTIVATE_\w+\]\s*=\s*"(\w+)"', kinds))
    names.update(re.findall(r'#define JSON_\w+ "(\w+)"', text_of('src/network/json_reading.h')))
    return names | {'kind'}


VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def check_taken(model, name):
    errors = [error.message for error in VALIDATOR.iter_errors(model)]
    check(not errors, f"{name}: {errors[:3]}")


def test_it_is_a_schema_and_takes_the_model_json_of_each_reference_model():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    check(len(EXAMPLES) >= 26, EXAMPLES)
    for path in EXAMPLES:
        check_taken(json.loads(text_of(path)), path)


def test_it_takes_what_the_documentation_shows():
    blocks = re.findall(r'```json\n(\{\s*"dcnv2_model".*?)```', text_of('docs/model-json.md'), re.S)
    check(blocks, "docs/model-json.md shows none")
    for block in blocks:
        check_taken(json.loads(block), block)


def test_it_has_the_keys_and_names_that_the_reader_knows_and_no_other():
    in_schema, in_reader = names_of_schema(SCHEMA, set()), names_of_reader()
    check(in_schema == in_reader, f"of the schema alone: {in_schema - in_reader}, of the reader: {in_reader - in_schema}")


def test_it_refuses_what_the_reader_refuses():
    good = text_of('tests/golden/models/plain/linear_list/model.json')

    def refused(name, change):
        model = json.loads(good)
        change(model)
        check(not VALIDATOR.is_valid(model), name)
    refused('a key of no meaning', lambda m: m.update(layer=[]))
    refused('no version', lambda m: m.pop('dcnv2_model'))
    refused('a misspelt key of a layer', lambda m: m['layers'][1].update(weigth='w'))
    refused('an activation without a function', lambda m: m['layers'][2]['chain'][2].pop('function'))
    refused('a leaky ReLU without a slope', lambda m: m['layers'][2]['chain'][2].update(function='leaky_relu'))
    refused('an output without weights', lambda m: m['layers'][3].pop('weight'))
    refused('a division by 0', lambda m: m['values']['price'].update(steps=[{'divide': 0}]))
    refused('two sources of a vocabulary', lambda m: m['vocabularies']['pid'].update(values=[]))
    refused('a file of another folder', lambda m: m['vocabularies']['pid'].update(file='../x'))


if __name__ == '__main__':
    harness.main(globals())
