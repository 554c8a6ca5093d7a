# SPDX-License-Identifier: Apache-2.0
"""The documents beside what they name: files, headings, make targets, the server's settings."""
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import ROOT, check, run_server

FENCED = re.compile(r"^```.*?^```$", re.M | re.S)
INLINE = re.compile(r"`[^`]*`")
LINK = re.compile(r"\[[^][]*\]\(([^()\s]+)\)")
ASSIGNMENT = re.compile(r"\w+=")


def tracked(*patterns):
    """Files that git has, or would take."""
    done = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", *patterns], cwd=ROOT, check=True, text=True,
                          stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    return [ROOT / name for name in sorted(set(done.stdout.splitlines())) if (ROOT / name).is_file()]


def documents():
    return {path: path.read_text() for path in tracked("*.md")}


def anchors(text):
    """Of its headings, as GitHub makes them."""
    found = []
    for heading in re.findall(r"^#+ +(.*?) *$", FENCED.sub("", text), re.M):
        plain = LINK.sub(lambda link: link[0].split("]")[0][1:], heading)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        n = sum(re.fullmatch(re.escape(slug) + r"(-\d+)?", other) is not None for other in found)
        found.append(f"{slug}-{n}" if n else slug)
    return found


def links(text):
    """The relative links of a document. Code may look like one, and may be a link's text."""
    found = LINK.findall(INLINE.sub("code", FENCED.sub("", text)))
    return sorted({link for link in found if not re.match(r"[a-z]+:", link)})


def broken(path, link, texts):
    """Why a link leads nowhere, or None."""
    file, _, anchor = link.partition("#")
    target = (path.parent / file).resolve() if file else path
    if not target.exists():
        return f"{path.relative_to(ROOT)}: {link}: there is no such file"
    if anchor and anchor not in anchors(texts.get(target, "")):
        return f"{path.relative_to(ROOT)}: {link}: there is no such heading"
    return None


def test_each_link_leads_to_a_file_and_a_heading():
    texts = documents()
    found = [(path, link) for path, text in texts.items() for link in links(text)]
    wrong = [reason for path, link in found if (reason := broken(path, link, texts))]
    check(len(found) > 30 and not wrong, "; ".join(wrong) or f"{len(found)} links")


def test_each_document_that_is_named_exists():
    named = re.compile(r"(?<![\w/.-])docs/[\w.-]+\.(?:md|json)\b")
    found = {(path, name) for path in tracked("*.md", "*.[ch]", "*.py", "*.sh", "*.mk", "*.yaml", "Makefile")
             for name in named.findall(path.read_text(errors="replace"))}
    wrong = [f"{path.relative_to(ROOT)}: {name}" for path, name in sorted(found) if not (ROOT / name).exists()]
    check(len(found) > 20 and not wrong, "; ".join(wrong) or f"{len(found)} names")


def test_each_document_is_reached_from_the_readme():
    texts = documents()
    reached, left = set(), [ROOT / "README.md"]
    while left:
        path = left.pop()
        if path in texts and path not in reached:
            reached.add(path)
            left += [(path.parent / link.partition("#")[0]).resolve() for link in links(texts[path])]
    missing = [str(path.relative_to(ROOT)) for path in texts if path.parent in (ROOT, ROOT / "docs") and path not in reached]
    check(not missing, f"no link leads to {missing}")


def make_words(command):
    """The targets of a shell command, if it is a make."""
    words = command.split("#")[0].split()
    while words and ASSIGNMENT.match(words[0]):
        words.pop(0)
    if not words or words[0] != "make":
        return []
    return [word for word in words[1:] if not ASSIGNMENT.match(word) and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", word)]


def commands(text):
    blocks = [line for block in FENCED.findall(text) for line in block.splitlines()]
    return [part for line in blocks + [code.strip("`") for code in INLINE.findall(FENCED.sub("", text))]
            for part in re.split(r"&&|;|\$\(|\|", line)]


def test_each_make_target_that_is_named_exists():
    targets = {name for file in ("Makefile", "deploy/steps.mk")
               for name in re.findall(r"^([a-z0-9-]+):(?!=)", (ROOT / file).read_text(), re.M)}
    found = {(path, word) for path, text in documents().items() for command in commands(text) for word in make_words(command)}
    wrong = [f"{path.relative_to(ROOT)}: make {word}" for path, word in sorted(found) if word not in targets]
    check(len(found) > 40 and not wrong, "; ".join(wrong) or f"{len(found)} targets")


def test_each_target_that_is_no_file_is_phony():
    for file in ("Makefile", "deploy/steps.mk"):
        text = (ROOT / file).read_text().replace("\\\n", " ")
        phony = re.search(r"^\.PHONY:(.*)$", text, re.M)[1].split()
        targets = re.findall(r"^([a-z0-9-]+):(?!=)", text, re.M)
        check(set(targets) == set(phony) - {"FORCE"}, f"{file}: {sorted(set(targets) ^ (set(phony) - {'FORCE'}))}")


def settings_of_help():
    """{flag: (variable, default)} of --help."""
    code, out, _ = run_server("--help")
    check(code == 0, f"exit code {code}")
    rows = re.findall(r"^  --([\w-]+) +([A-Z_]+ )? *(\S.*)$", out, re.M)
    return {flag.replace("-", "_"): (variable.strip(), re.search(r"\(([^()]*)\)$", text))
            for flag, variable, text in rows}


def test_the_table_of_settings_is_that_of_help():
    helped = settings_of_help()
    table = {}
    for line in (ROOT / "docs/settings.md").read_text().splitlines():
        row = re.match(r"\| `--([\w-]+)` \| (?:`(\w+)`)? *\| ([^|]*)\|", line)
        if row:
            table[row[1].replace("-", "_")] = (row[2] or "", row[3].strip().strip("`"))
    check(len(table) > 20 and set(table) == set(helped), f"in one of both alone: {sorted(set(table) ^ set(helped))}")
    for flag, (variable, default) in helped.items():
        check(table[flag][0] == variable, f"--{flag}: {table[flag][0]!r}, --help says {variable!r}")
        told = re.split(r"[:;] ", default[1])[0] if default else ""
        if re.fullmatch(r"\d+|true|false|/\S+|dcnv2|info|text", told):
            check(table[flag][1] == told, f"--{flag}: {table[flag][1]!r}, --help says {told!r}")


if __name__ == "__main__":
    harness.main(globals())
