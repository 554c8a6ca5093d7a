# SPDX-License-Identifier: Apache-2.0
"""dcnv2-export, also python -m dcnv2_export: export() of a model that a Python function makes, or of a saved module."""
import argparse
import importlib
import importlib.util
import os
import sys

from . import __version__
from .errors import ExportError
from .export import TOLERANCE, export
from .libraries import NAMES


def load(target):
    """What stands behind `file.py:name` or `module:name`, called if it is a function; or the module that torch.save(model) wrote."""
    place, colon, name = target.rpartition(":")
    if not colon:
        import torch
        return torch.load(target, map_location="cpu", weights_only=False)
    if place.endswith(".py"):
        sys.path.insert(0, os.path.dirname(os.path.abspath(place)))
        spec = importlib.util.spec_from_file_location(os.path.basename(place)[:-3], place)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    else:
        sys.path.insert(0, os.getcwd())
        module = importlib.import_module(place)
    found = getattr(module, name)
    return found() if callable(found) and not hasattr(found, "state_dict") else found


def parser():
    arguments = argparse.ArgumentParser(prog="dcnv2-export", description=__doc__)
    arguments.add_argument("model", help="file.py:name or module:name of a function that gives the model, or a dict of export()'s "
                           "arguments, or of either itself; or a file of torch.save(model), whose code is run")
    arguments.add_argument("--rows", help="CSV of raw rows (default: rows of the dict)")
    arguments.add_argument("-o", "--output", help="the weights (model.safetensors); model.json and golden.json are written beside")
    arguments.add_argument("--library", choices=NAMES, help="default: by the model's class")
    arguments.add_argument("--dcnv2-score", help="the program (default: DCNV2_SCORE, or dcnv2-score on PATH)")
    arguments.add_argument("--tolerance", type=float, help="largest distance of a probability (%g)" % TOLERANCE)
    arguments.add_argument("--no-check", action="store_true", help="keep the files though nothing was checked")
    arguments.add_argument("--version", action="version", version=__version__)
    return arguments


def main(argv=None):
    options = parser().parse_args(argv)
    try:
        loaded = load(options.model)
        settings = dict(loaded) if isinstance(loaded, dict) else {"model": loaded}
        flags = {"rows": options.rows, "path": options.output, "library": options.library, "dcnv2_score": options.dcnv2_score,
                 "tolerance": options.tolerance}
        settings.update({key: value for key, value in flags.items() if value is not None})
        if options.no_check:
            settings["check"] = False
        distance = export(**settings)
    except (ExportError, OSError) as error:
        print("dcnv2-export: %s" % error, file=sys.stderr)
        return 1
    if distance is not None:
        print("written; the largest distance to the module's scores is %.3g" % distance)
    return 0


if __name__ == "__main__":
    sys.exit(main())
