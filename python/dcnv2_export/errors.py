# SPDX-License-Identifier: Apache-2.0
"""What can go wrong: each message says what, where, and what to do."""


class ExportError(ValueError):
    """Nothing was written."""


class Unsupported(ExportError):
    """A module of the network that model.json cannot describe, or that cannot be told from its tensors."""

    def __init__(self, name, module, reason, advice):
        super().__init__("module %s (%s): %s; %s" % (name or "of the top", class_of(module), reason, advice))


class CheckFailed(ExportError):
    """dcnv2-score is missing, refuses the files, or computes other scores than the module."""


def class_of(thing):
    return "%s.%s" % (type(thing).__module__, type(thing).__qualname__)
