# SPDX-License-Identifier: Apache-2.0
"""A module per library. Each has

    describe(model, columns, ..) -> Described

whose further arguments are `how` of export(). No library is imported here: a module is told by its classes.
"""
import importlib

from ..errors import ExportError

NAMES = ("fuxictr", "recbole", "deepctr_torch", "torch_rechub", "torchrec", "plain")


class Described:
    """network: describe.Network; rules: {name: rule}, in the order of the columns of a request; feed: a function of what
    rows.encode() gives, to a tensor of probabilities [rows], or None; dead: beginnings of names that no forward pass reads."""

    def __init__(self, network, rules, feed, source, dead=()):
        self.network, self.rules, self.feed, self.source, self.dead = network, rules, feed, source, tuple(dead)


def find(model, library=None):
    """The part of a library: named, or of the module's class and of the classes below."""
    if library is None:
        packages = {kind.__module__.split(".")[0] for kind in type(model).__mro__}
        packages |= {type(m).__module__.split(".")[0] for m in model.modules()} & {"torchrec"}
        library = next((name for name in NAMES if name in packages), "plain")
    if library not in NAMES:
        raise ExportError("library %r is not known; known are %s" % (library, ", ".join(NAMES)))
    return importlib.import_module("." + library, __name__)
