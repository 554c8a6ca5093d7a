# SPDX-License-Identifier: Apache-2.0
"""The form of the golden files that the C tests read (tests/unit/golden.h).

One record a line, fields separated by tabs, lines that start with "#" are remarks.
A byte outside printable ASCII, a tab, a newline and a backslash are written as \\xHH.
"""

import sys


def escape(field) -> str:
    data = field if isinstance(field, bytes) else str(field).encode("utf-8")
    return "".join(chr(b) if 0x20 <= b < 0x7F and b != 0x5C else f"\\x{b:02x}" for b in data)


def write(path, remarks, records) -> None:
    with open(path, "w", encoding="ascii", newline="\n") as out:
        for remark in remarks:
            out.write(f"# {remark}\n")
        for record in records:
            out.write("\t".join(escape(field) for field in record) + "\n")
    print(f"{path}: {len(records)} records", file=sys.stderr)
