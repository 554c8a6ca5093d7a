# SPDX-License-Identifier: Apache-2.0
"""export(): weights, description and golden rows of a trained module, checked before they are kept."""
import contextlib
import copy
import json
import os
import pathlib
import shutil
import sys
import tempfile

import torch

from . import check as checking
from . import libraries, rows as rowing, safetensors_file
from .describe import unwrapped
from .errors import ExportError

TOLERANCE = 1e-5
FILES = ("golden.json", "model.json")  # beside the weights


def export(model, path="model.safetensors", rows=None, columns=None, library=None, predict=None, check=True, dcnv2_score=None,
           tolerance=TOLERANCE, **how):
    """Writes `path`, and model.json and golden.json beside it. Returns the largest distance between the module's scores and
    those of dcnv2-score (a probability), or None if that was not checked.

    model    a trained module; it is left in the mode and on the device in which it is
    rows     some raw rows, such as 64 of the test data: dict of lists, list of dicts, DataFrame, or path of a CSV file
    path     the file of the weights, or an existing folder
    columns  {name: rule}: how a cell becomes a row of a table or a number (see dcnv2_export.columns); what the library's own
             objects tell can be left out
    library  "fuxictr", "recbole", "deepctr_torch", "torch_rechub", "torchrec" or "plain"; default: by the module's class
    predict  a function of rows (a dict of lists) that gives probabilities, by your own code: it checks the rules too. Or
             the probabilities themselves. Default: the module, fed by the rules
    check    False: the files are kept unchecked
    how      what the library's part takes: see dcnv2_export/libraries

    Raises ExportError, of which Unsupported and CheckFailed are kinds; then no file was written or changed.
    """
    if rows is None:
        raise ExportError("rows are missing: some raw rows are scored by the module and by dcnv2-score")
    program = checking.find(dcnv2_score) if check else None
    rows, path = rowing.as_columns(rows), weights_path(path)
    with as_served(model) as module:
        described = libraries.find(module, library).describe(module, columns or {}, **how)
        unused = described.network.unused(described.dead)
        if unused:
            raise ExportError("tensor %s is read by no layer of the description; a layer was overlooked: write model.json by hand, or "
                              "name what the network never uses by dead=[..]" % ", ".join(unused[:5]))
        check_read(described)
        raw = rowing.raw_columns(described.rules)
        rowing.check_columns(raw, rows)
        predictions = predicted(described, rows, predict)
        return write(path, described, raw, rows, predictions, program, tolerance)


def check_read(described):
    """Each rule is read by the network."""
    parts = [part for layer in described.network.layers for part in layer.get("parts", [])]
    read = {part.get("lookup", part.get("value")) for part in parts}
    for name in described.rules:
        if name not in read:
            raise ExportError("column %s: the network reads no such input; it reads %s" % (name, ", ".join(sorted(read))))


def weights_path(path):
    """The file of the weights: path, or model.safetensors in the folder that it names."""
    path = pathlib.Path(path)
    path = path / "model.safetensors" if path.is_dir() else path
    if path.name in FILES:
        raise ExportError("%s: this name is taken by the description; name the file of the weights, such as model.safetensors" % path)
    return path


@contextlib.contextmanager
def as_served(model):
    """The module in evaluation mode, float32, on the CPU: itself if it is, else a copy."""
    module = unwrapped(model)
    modes = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        tensors = [t for t in module.state_dict().values() if t.is_floating_point()]
        if any(t.dtype != torch.float32 or t.device.type != "cpu" for t in tensors):
            module = copy.deepcopy(module).float().cpu()
        yield module
    finally:
        for m, training in modes:
            m.training = training


def predicted(described, rows, predict):
    """A probability per row."""
    n = len(next(iter(rows.values())))
    if predict is None:
        if described.feed is None:
            raise ExportError("how this module takes its inputs is not known; pass predict=, a function of rows that gives probabilities")
        predict = lambda rows: described.feed(rowing.encode(described.rules, rows))  # noqa: E731
    with torch.no_grad():
        found = predict(rows) if callable(predict) else predict
    found = [float(p) for p in torch.as_tensor(found).reshape(-1)]
    if len(found) != n:
        raise ExportError("%d predictions of %d rows" % (len(found), n))
    if not all(0 <= p <= 1 for p in found):
        raise ExportError("a prediction is %r; probabilities are asked for, behind the sigmoid" % next(p for p in found if not 0 <= p <= 1))
    return found


def description(described, raw, weights):
    """The object of model.json."""
    model = {"dcnv2_model": 1, "weights": weights, "columns": [rowing.column_json(name, rule) for name, rule in raw.items()]}
    categories = {name: rule for name, rule in described.rules.items() if hasattr(rule, "lookup_json")}
    groups = {
        "vocabularies": {name: rule.vocabulary_json() for name, rule in categories.items() if rule.vocabulary is not None},
        "lookups": {name: rule.lookup_json(name) for name, rule in categories.items()},
        "values": {name: rule.value_json(name) for name, rule in described.rules.items() if name not in categories}}
    model.update({key: group for key, group in groups.items() if group})
    model["layers"] = described.network.layers
    model["source"] = described.source
    return model


def write(path, described, raw, rows, predictions, program, tolerance):
    """All files in a folder beside the last ones; they are moved if the check holds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    here = pathlib.Path(tempfile.mkdtemp(prefix=".dcnv2-export-", dir=str(path.parent)))
    try:
        state = described.network.state
        safetensors_file.write(here / path.name, {name: state[name].detach().float().cpu().contiguous().numpy()
                                                  for name in described.network.used})
        texts = (rowing.golden(raw, rows, predictions, tolerance), description(described, raw, path.name))
        for name, content in zip(FILES, texts):
            (here / name).write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        distance = None
        if program is None:
            print("dcnv2_export: %s: the scores were NOT checked by dcnv2-score" % path, file=sys.stderr)
        else:
            rowing.write_csv(here / "rows.csv", raw, rows)
            (here / "model").mkdir()
            for name in (path.name,) + FILES:
                os.rename(str(here / name), str(here / "model" / name))
            asked = (program, here / "model", here / "rows.csv")
            distance = checking.compare(checking.scores(*asked, checks_golden_set=False), predictions, tolerance)
            checking.scores(*asked, checks_golden_set=True)  # the rows as JSON, as the server will read them
        source = here / "model" if program else here
        for name in (path.name,) + FILES:
            os.replace(str(source / name), str(path.parent / name))
        return distance
    finally:
        shutil.rmtree(str(here), ignore_errors=True)
