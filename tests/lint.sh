#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Checks what docs/architecture.md says of the rooms: who may include whom, where a library is
# used, that every source says its licence. Prints what is wrong; exit 1 if anything is.
set -eu
bad=0
complain() { echo "lint: $1" >&2; bad=1; }

# The rows of docs/architecture.md whose first cell matches $1, as "CELL|REGEX": the last cell lists what is
# allowed by commas, folders with a slash behind them, files without their ending ($2).
rows() {
    awk -F ' *[|] *' -v cell="^\`$1\`" -v ending="$2" '$2 ~ cell {
        n = split($(NF - 1), names, ", ")
        allowed = ""
        for (i = 1; i <= n; i++)
            allowed = allowed "|" names[i] (names[i] ~ /\/$/ ? "" : ending "$")
        gsub(/`/, "", $2)
        print $2 allowed
    }' docs/architecture.md
}

may_include=$(rows 'src/[a-z0-9]+/' '[.]h')
for folder in src/*/; do
    allowed=$(echo "$may_include" | sed -n "s,^$folder|,,p")
    [ -n "$allowed" ] || { complain "docs/architecture.md does not say what $folder may include"; continue; }
    found=$(grep -oE '^#include "[^"]+"' "$folder"*.[ch] | tr -d '"' | sed 's/:#include / includes /' |
        grep -vE " (${folder#src/}|$allowed)" || true)
    [ -z "$found" ] || complain "$found"
done

included_in=$(rows '<.*>' '[.](c|h|cpp)')
[ -n "$included_in" ] || complain "docs/architecture.md does not say where outside libraries are included"
while IFS='|' read -r headers allowed; do
    for header in $(echo "$headers" | tr -d '<>,'); do
        outside=$(grep -lF "#include <${header%.h}" -r src include | grep -vE "^src/($allowed)" || true)
        [ -z "$outside" ] || complain "$header is included in $outside"
    done
done <<EOF
$included_in
EOF

for file in $(git ls-files '*.c' '*.h' '*.cpp' '*.py' '*.sh' Makefile); do
    head -3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' || complain "$file has no SPDX line"
done
long=$(git ls-files 'src/*.[ch]' 'src/*.cpp' 'tests/*.[ch]' | grep -v number_pow10.h | xargs wc -l | awk '$2 != "total" && $1 > 600 {print $2 ": " $1 " lines"}')
[ -z "$long" ] || complain "longer than 600 lines: $long"
exit $bad
