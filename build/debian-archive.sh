# build/debian-archive.sh: apt on a state of its own, for arm64, with this host's mirror, proxy and keys; sourced.
#
# The host's package lists and its list of foreign architectures stay as they are, and root is not needed. The sourcing
# script has say, and unavailable REASON, which ends it.

# debian_sources: the host's own entries for the Debian archive, from both of apt's formats, as one-line entries for
# any architecture. Other vendors' archives carry keys of their own and are left out.
debian_sources() {
    local codename=$1 file
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        if [[ -f $file ]]; then cat "$file"; fi
    done | sed -n -E 's/^[[:space:]]*deb[[:space:]]+(\[[^]]*\][[:space:]]+)?(.*)$/\1 \2/p' |
        while read -r line; do
            local key=
            if [[ $line == \[* ]]; then
                [[ $line =~ [Ss]igned-[Bb]y=([^] ]+) ]] && key=${BASH_REMATCH[1]}
                line=${line#*\]}
            fi
            read -r uri suite components <<<"$line"
            printf '%s|%s|%s|%s\n' "$uri" "$suite" "$components" "$key"
        done
    for file in /etc/apt/sources.list.d/*.sources; do
        if [[ -f $file ]]; then cat "$file" && echo; fi
    done | awk '
        function value() { v = $0; sub(/^[^:]*:[ \t]*/, "", v); return v }
        function flush(  u, s, i, j, n, m) {
            if (types ~ /(^| )deb( |$)/ && tolower(enabled) !~ /^(no|false|0)/) {
                n = split(uris, u, " "); m = split(suites, s, " ")
                for (i = 1; i <= n; i++) for (j = 1; j <= m; j++) print u[i] "|" s[j] "|" components "|" key
            }
            types = uris = suites = components = key = enabled = field = ""
        }
        /^#/ { next }
        /^[ \t]*$/ { flush(); next }
        /^[ \t]/ { if (field == "uris:") uris = uris " " $0; if (field == "suites:") suites = suites " " $0; next }
        { field = tolower($1) }
        field == "types:" { types = value() }
        field == "uris:" { uris = value() }
        field == "suites:" { suites = value() }
        field == "components:" { components = value() }
        field == "signed-by:" { key = value() }
        field == "enabled:" { enabled = value() }
        END { flush() }'
}

# apt_sources CODENAME: those entries that have this release's main component, as apt reads them.
apt_sources() {
    local uri suite components key
    debian_sources "$1" | while IFS='|' read -r uri suite components key; do
        case ${suite%/updates} in "$1" | "$1"-updates | "$1"-security | stable | stable-*) ;; *) continue ;; esac
        case " $components " in *' main '*) ;; *) continue ;; esac
        case $key in
            '') printf 'deb %s %s main\n' "$uri" "$suite" ;;
            *debian-archive*) printf 'deb [signed-by=%s] %s %s main\n' "$key" "$uri" "$suite" ;;
        esac
    done | sort -u
}

# archive_open WORK [SUITE]: a fresh folder WORK/apt, and the array apt of options for apt-get and apt-cache; of another
# release of Debian than this host's where SUITE, its codename, says so.
archive_open() {
    local id='' codename='' work=$1 suite=${2:-}
    for tool in apt-get apt-cache dpkg-deb sha256sum; do
        command -v $tool >/dev/null || unavailable "it comes from Debian packages, and there is no $tool here"
    done
    if [[ -n ${QUIETUS_OFFLINE:-} ]]; then unavailable "QUIETUS_OFFLINE is set"; fi
    id=$(. /etc/os-release && echo "${ID:-}")
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    if [[ $id != debian ]]; then unavailable "it comes from Debian's archive, and this is not Debian ($id)"; fi

    mkdir -p "$work"/apt/{lists,archives}/partial
    : >"$work/apt/status"
    apt_sources "$codename" | sed -E "s, (stable|$codename)(-updates|-security|/updates)? main$, ${suite:-\1}\2 main," \
        >"$work/apt/sources.list"
    if [[ ! -s $work/apt/sources.list ]]; then
        unavailable "apt's sources name no Debian archive for $codename"
    fi
    apt=(
        -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Install-Recommends=false
        -o Dir::State="$work/apt" -o Dir::State::status="$work/apt/status" -o Dir::State::Lists="$work/apt/lists"
        -o Dir::Cache="$work/apt" -o Dir::Cache::archives="$work/apt/archives"
        -o Dir::Etc::SourceList="$work/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
        -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
        -o Acquire::Retries=2 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20
        -o APT::Get::AllowUnauthenticated=false -o Acquire::AllowInsecureRepositories=false
        # The sandbox user cannot reach a cache below root's home; the signatures are checked all the same.
        -o APT::Sandbox::User=root
    )
}

# archive_update WORK: reads the archive's package lists.
archive_update() {
    local log=$1/apt.log
    if ! apt-get "${apt[@]}" -q update --error-on=any >"$log" 2>&1; then
        grep -E '^(E|W):' "$log" | head -n 3 >&2 || tail -n 3 "$log" >&2
        unavailable "the Debian archive cannot be read (see above); is there a network?"
    fi
}
