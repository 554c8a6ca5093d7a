# SPDX-License-Identifier: Apache-2.0
"""Files as people have them: click logs that are packed in several ways."""
import gzip
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import check
from training import folder, rows, score, train, write_csv


# ---------------------------------------------------------------- packed click logs

def packed_parts(n=400):
    """The header with n rows, and n rows more; each packed on its own."""
    lines = rows(2 * n)
    parts = ["\n".join(part) + "\n" for part in (lines[:n + 1], lines[n + 1:])]
    return lines, [gzip.compress(part.encode(), mtime=0) for part in parts]


def test_all_members_of_a_packed_log_are_read_and_padding_behind_them_is_not():
    with folder() as name:
        path = pathlib.Path(name)
        lines, (first, second) = packed_parts()
        whole, _ = score(None, write_csv(path / "plain.csv", lines))
        packed = path / "packed.csv.gz"
        for label, data in (("two members", first + second), ("zeros behind", first + second + bytes(10240)),
                            ("zeros between", first + bytes(512) + second)):
            packed.write_bytes(data)
            scores, err = score(None, packed)
            check(scores == whole and len(scores) == 800, f"{label}: {len(scores)} scores; {err}")
            err = train("--epochs", 1, data=[packed], valid=(), output=path / "model")
            check("read 800 training rows" in err, f"{label}: {err}")


def test_a_packed_log_that_goes_on_as_something_else_is_refused():
    with folder() as name:
        path = pathlib.Path(name)
        lines, (first, second) = packed_parts()
        tail = ("\n".join(lines[401:]) + "\n").encode()
        bad_check = second[:-8] + bytes([second[-8] ^ 1]) + second[-7:]
        packed, good = path / "packed.csv.gz", write_csv(path / "good.csv", lines)
        not_gzip = f"what follows the gzip data at byte {len(first)} is not gzip"
        for label, data, said, n in (
                ("a plain tail", first + tail, not_gzip, 401),
                ("one byte more", first + b"\n", not_gzip, 401),
                ("a cut member", first + second[:-3], f"the end of the gzip member at byte {len(first)} is missing", 801),
                ("a bad checksum", first + bad_check, f"the gzip member at byte {len(first)} is damaged", 801)):
            packed.write_bytes(data)
            expected = f"{packed}: ", said, f"; {n} records were read before"
            _, err = score(None, packed, expect=1)
            check(all(text in err for text in expected) and err.count("\n") == 1, f"dcnv2-score, {label}: {err}")
            for places in ({"data": [packed], "valid": ()}, {"data": [good], "valid": [packed]}):
                err = train("--epochs", 1, output=path / "model", expect=1, **places)
                check(all(text in err for text in expected), f"dcnv2-train, {label}: {err}")
            check(not (path / "model/model.safetensors").exists(), f"{label}: a model was written")


if __name__ == "__main__":
    harness.main(globals())
