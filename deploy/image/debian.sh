# SPDX-License-Identifier: Apache-2.0
# Sourced: a folder with a Debian of the packages of this machine's mirror, by debootstrap (root).

# apt there reads what apt reads here, for RELEASE in the place of this machine's own.
copy_apt_settings() { # RELEASE ROOT MIRROR
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    rm -f "$2/etc/apt/sources.list"
    for file in $(grep -lsF "$3" /etc/apt/sources.list /etc/apt/sources.list.d/*.sources); do
        sed "s/\b$codename\b/$1/g" "$file" >"$2$file"
    done
    for file in /etc/apt/apt.conf.d/99* /etc/apt/apt.conf.d/*proxy*; do
        [ ! -f "$file" ] || cp -a "$file" "$2/etc/apt/apt.conf.d/"
    done
}

# Fails with the reason on stderr; debootstrap's own words are in ROOT.log.
make_debian() { # RELEASE ROOT
    command -v debootstrap >/dev/null || { echo "debian: debootstrap is missing: deploy/local/install.sh debian" >&2; return 1; }
    [ "$(id -u)" -eq 0 ] || { echo "debian: debootstrap needs root" >&2; return 1; }
    mirror=$(sed -n 's/^URIs: *//p; s/^deb \(\[.*\] \)\{0,1\}\([^ ]*\) .*/\2/p' \
        /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null | head -1)
    [ -n "$mirror" ] || { echo "debian: no Debian mirror in /etc/apt" >&2; return 1; }
    if ! debootstrap --variant=minbase "$1" "$2" "$mirror" >"$2.log" 2>&1; then
        tail -5 "$2.log" >&2
        echo "debian: this machine's mirror does not give $1" >&2
        return 1
    fi
    copy_apt_settings "$1" "$2" "$mirror"
}
