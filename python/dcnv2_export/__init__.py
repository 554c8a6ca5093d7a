# SPDX-License-Identifier: Apache-2.0
"""Exports trained DCN and DCN v2 models to dcnv2-server: weights, model.json and golden rows.

    import dcnv2_export
    dcnv2_export.export(model, path="served/model.safetensors", rows=test_rows, columns={..})
"""
from .columns import Category, Number, Tags, scaled
from .errors import CheckFailed, ExportError, Unsupported
from .export import export

__all__ = ["Category", "CheckFailed", "ExportError", "Number", "Tags", "Unsupported", "export", "scaled"]
__version__ = "0.1.0"
