# build/setup.sh: what ./quietus, ./test and .ci/run share. To be sourced; sets $root, $cache and $artifacts.
#
# Everything here is safe to repeat, to interrupt and to run twice at once: finished work is recognised by a stamp that
# is written last, and the steps that change something hold a lock. Messages go to stderr.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${QUIETUS_CACHE:-${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/quietus}
artifacts=${ArtifactsPath:-$root/artifacts}
image_folder=${ImageFolder:-$root/artifacts/image/}
configuration=Release

export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_GENERATE_ASPNET_CERTIFICATE=false
export DOTNET_SKIP_FIRST_TIME_EXPERIENCE=1

# The exit code of test programs that cannot run here, which is not the same as to fail.
readonly not_supported=77

say() { printf 'quietus: %s\n' "$*" >&2; }

# fail CODE MESSAGE…
fail() {
    local code=$1
    shift
    say "$*"
    exit "$code"
}

# hold FOLDER NAME: takes a lock until this shell ends or `release`s it. Children must not inherit it: they get 9>&-.
hold() {
    mkdir -p "$1" 2>/dev/null || fail 1 "cannot write to $1"
    exec 9>"$1/$2.lock" || fail 1 "cannot write to $1"
    if ! flock --nonblock 9; then
        say "waiting for another run ($2)"
        flock 9
    fi
}

release() { exec 9>&-; }

# missing_packages: Debian's names of those packages whose programs are not there. $without_qemu and $with_x64 say whether
# a machine is to be run, and whether something for x86-64 Linux is to be built.
missing_packages() {
    [[ -n ${without_qemu:-} ]] || command -v qemu-system-aarch64 >/dev/null || echo qemu-system-arm
    [[ -z ${with_x64:-} ]] || command -v x86_64-linux-gnu-as >/dev/null || echo binutils-x86-64-linux-gnu
    command -v ld.lld >/dev/null || echo lld
    command -v aarch64-linux-gnu-as >/dev/null || echo binutils-aarch64-linux-gnu
}

# require_packages: installs what is missing, after saying what that is.
require_packages() {
    local packages as_root=() log
    mapfile -t packages < <(missing_packages)
    if ((${#packages[@]} == 0)); then return; fi

    if ! command -v apt-get >/dev/null; then
        say "this needs programs that are not here, and there is no apt to install them with:"
        say "  QEMU for arm64       (qemu-system-aarch64; 7.2 or later)"
        say "  LLVM's linker        (ld.lld)"
        say "  binutils for aarch64 (aarch64-linux-gnu-as, -nm, -objcopy)"
        fail $not_supported "install those of them that are missing, then run this again"
    fi
    local by_hand="apt-get update && apt-get install --no-install-recommends ${packages[*]}"
    if [[ -n ${QUIETUS_NO_INSTALL:-}${QUIETUS_OFFLINE:-} ]]; then
        fail $not_supported "missing, and not to be installed by this run: ${packages[*]} ($by_hand)"
    fi
    if ((EUID != 0)); then
        if ! command -v sudo >/dev/null; then
            fail $not_supported "missing: ${packages[*]}; as root: $by_hand"
        fi
        as_root=(sudo)
        # Where there is no terminal to type a password on, sudo must not wait for one.
        if [[ ! -t 0 ]]; then as_root=(sudo -n); fi
    fi

    say "installing Debian packages, and what they depend on${as_root[0]:+, with sudo}:"
    say "  ${packages[*]}"
    log=$(mktemp)
    local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
    # Fresh machines and containers come without package lists.
    if ! { "${apt[@]}" update && "${apt[@]}" install --yes --no-install-recommends "${packages[@]}"; } \
        >"$log" 2>&1 </dev/null; then
        tail -n 12 "$log" >&2
        rm -f "$log"
        fail $not_supported "the packages cannot be installed (see above); by hand: $by_hand"
    fi
    rm -f "$log"
    hash -r
    mapfile -t packages < <(missing_packages)
    if ((${#packages[@]})); then fail $not_supported "apt reported success, yet these are missing: ${packages[*]}"; fi
}

require_dotnet() {
    if ! command -v dotnet >/dev/null; then
        fail $not_supported "this needs the .NET 10 SDK (dotnet): https://dotnet.microsoft.com/download/dotnet/10.0"
    fi
}

# fetch_guest: a host that cannot have the Linux guest has been told so, and the filler guest serves.
fetch_guest() { QUIETUS_CACHE=$cache "$root/build/fetch-linux-guest" || true; }

# fetch_root: the same for the root file system that a test of exec takes; without it that test is skipped.
fetch_root() { QUIETUS_CACHE=$cache "$root/build/fetch-debian-root" || true; }

# sources_state: changes whenever a file that a build reads is added, removed or written.
sources_state() {
    # A folder that this checkout has not is no error.
    (cd "$root" && {
        find src guests tests bench build machines Directory.* ./*.slnx global.json .editorconfig -type f \
            -printf '%p %s %T@\n' 2>/dev/null || true
    } | LC_ALL=C sort | sha256sum)
}

# built STAMP STATE OUTPUT: is that what the last finished build was made from, and is its output still there?
built() { [[ -f $1 && $(<"$1") == "$2" && -e $3 ]]; }

# watch_build TEXT PID: says that a process is at work until it ends, and gives its exit code: on a terminal with the
# seconds, since a first build takes a minute or two, elsewhere in one line.
watch_build() {
    local code=0 begun=$SECONDS
    # A background process of a script does not hear Ctrl-C.
    trap "kill $2 2>/dev/null; exit 130" INT
    trap "kill $2 2>/dev/null; exit 143" TERM
    if [[ -t 2 ]]; then
        while kill -0 "$2" 2>/dev/null; do
            printf '\rquietus: %s, %d s ' "$1" $((SECONDS - begun)) >&2
            sleep 0.5
        done
        printf '\r%*s\r' $((${#1} + 24)) '' >&2
        wait "$2" || code=$?
        say "$1: $((SECONDS - begun)) s"
    else
        say "$1"
        wait "$2" || code=$?
        say "$1: done after $((SECONDS - begun)) s"
    fi
    trap - INT TERM
    return $code
}

# build NAME TARGET OUTPUT: builds a project or solution, unless nothing changed since then.
build() {
    local name=$1 target=$2 output=$3 stamp=$artifacts/.built-${1// /-} state log
    if built "$stamp" "$(sources_state)" "$output"; then return; fi

    require_dotnet
    hold "$artifacts" build
    state=$(sources_state)
    # The run that held the lock may have built just this.
    if built "$stamp" "$state" "$output"; then
        release
        return
    fi
    log=$artifacts/build-${name// /-}.log
    (cd "$root" && exec dotnet build "$target" --configuration $configuration --nologo --verbosity quiet \
        -nodeReuse:false </dev/null >"$log" 2>&1 9>&-) &
    if ! watch_build "building the $name" $!; then
        { grep -E ': error' "$log" | sort -u | head -n 20 | grep . || tail -n 20 "$log"; } >&2
        fail 1 "the build failed; all of it is in $log"
    fi
    printf '%s' "$state" >"$stamp.$$"
    mv "$stamp.$$" "$stamp"
    release
}
