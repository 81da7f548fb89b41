# What tools/run and tools/test share; sourced by them, with the repository as the working directory.
# It looks for what a build needs, installs what is missing, and keeps people informed while RocksDB compiles.

say() { printf '%s\n' "$*"; }
complain() { printf '%s\n' "$*" >&2; }
indented() { printf '  %s\n' "${1//$'\n'/$'\n'  }"; }
have() { command -v "$1" >/dev/null 2>&1; }

# Rust itself is not installed here: how to have it is the choice of whoever owns the machine.
ensure_rust() {
    local wanted found
    if ! have cargo && [ -x "$HOME/.cargo/bin/cargo" ]; then
        PATH="$HOME/.cargo/bin:$PATH"
    fi
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    if ! have cargo; then
        complain "Rust is missing. Install it with rustup (https://rustup.rs), version $wanted or newer, and try again."
        exit 2
    fi
    found=$(cargo --version | awk '{print $2}')
    if [ "$(printf '%s\n%s\n' "$wanted" "$found" | sort -V | head -n 1)" != "$wanted" ]; then
        complain "Rust $wanted or newer is needed, and this is $found. With rustup: rustup update stable"
        exit 2
    fi
}

# rustfmt and clippy, which some installations leave out.
ensure_rust_components() {
    local component missing=()
    for component in fmt clippy; do
        cargo "$component" --version >/dev/null 2>&1 || missing+=("$component")
    done
    [ ${#missing[@]} -eq 0 ] && return
    missing=("${missing[@]/#fmt/rustfmt}")
    if ! have rustup; then
        complain "Missing parts of Rust: ${missing[*]}. They come with rustup, or as packages of your distribution."
        exit 2
    fi
    say "Installing ${missing[*]}: the formatter and the linter that every change must pass."
    rustup component add "${missing[@]}"
}

have_cxx() { have "${REPSEC_CXX:-c++}" && have "${REPSEC_CC:-cc}"; }

# Whether any file has one of these names.
exists() {
    local pattern
    for pattern in "$@"; do
        compgen -G "$pattern" >/dev/null && return 0
    done
    return 1
}

# Looks where the build script of the bindings looks, for the library (libclang-cpp is another one) and for the headers
# of the compiler, without which it cannot read C. Whoever sets LIBCLANG_PATH knows better.
have_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] && return 0
    local folder
    for folder in /usr/lib /usr/lib64 /usr/local/lib /usr/lib/llvm-*/lib /usr/lib64/llvm*/lib /usr/lib/*-linux-gnu; do
        if exists "$folder/libclang.so*" "$folder/libclang-[0-9]*.so*"; then
            exists "/usr/lib/llvm-*/lib/clang/*/include/stddef.h" "/usr/lib*/clang/*/include/stddef.h" \
                "/usr/local/lib/clang/*/include/stddef.h"
            return
        fi
    done
    return 1
}

# One line for each package that is missing: its name on Debian, and why it is needed.
missing_packages() {
    have_cxx || say "g++ (RocksDB, the store below the log, is C++ and is compiled from source)"
    have_libclang || say "libclang-dev (the bindings to RocksDB are made from its headers, which libclang reads)"
    have ccache || say "ccache (keeps what was compiled, so that RocksDB's 25 minutes are spent once, not once a checkout and profile)"
}

# Installs what is missing and nothing else. ccache is the one thing that a build can do without.
ensure_packages() {
    local missing names root=()
    missing=$(missing_packages)
    [ -z "$missing" ] && return
    names=$(awk '{print $1}' <<<"$missing" | paste -sd " ")
    say "Missing on this machine:"
    indented "$missing"
    if ! have apt-get; then
        say "This is not Debian or Ubuntu; please install them yourself."
        say "  Fedora: gcc-c++ clang-devel ccache    Arch: gcc clang ccache    openSUSE: gcc-c++ clang-devel ccache"
    elif [ "$(id -u)" -ne 0 ] && ! have sudo; then
        say "You are not root and there is no sudo. As root: apt-get install $names"
    else
        if [ "$(id -u)" -ne 0 ]; then
            # Without a terminal there is nobody who could type a password.
            if [ -t 0 ]; then root=(sudo); else root=(sudo -n); fi
        fi
        say "Installing: $names"
        # A failed update may still leave lists that are good enough, and a failed install is found out below.
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq || complain "apt-get update failed; going on."
        # shellcheck disable=SC2086 # the names are words
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $names || true
    fi
    have ccache || say "Going on without ccache: RocksDB will be compiled again for each profile and checkout."
    if ! have_cxx || ! have_libclang; then
        complain "Cannot build without:"
        indented "$(missing_packages | grep -v '^ccache ')" >&2
        exit 2
    fi
}

target_dir() {
    cargo metadata --no-deps --format-version 1 2>/dev/null | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'
}

# RocksDB's static library of a profile (debug or release), if it was built already.
rocksdb_is_built() { exists "$1/$2/build/librocksdb-sys-*/out/librocksdb.a"; }

# cargo_with_news PROFILE ARGUMENTS...: runs cargo. Where RocksDB is not built yet, says how long that takes, and once
# a minute how far it is, since cargo itself is silent for all of that time.
cargo_with_news() {
    local profile=$1 target news status=0
    shift
    target=$(target_dir)
    if rocksdb_is_built "$target" "$profile"; then
        cargo "$@"
        return
    fi
    say "RocksDB is not built for this profile yet. The first time on a machine this takes about 25 minutes on 2 cores;"
    say "with its objects in ccache, about a minute. It is done once."
    tell_news "$target/$profile" &
    news=$!
    # However this ends, nobody goes on telling news.
    # shellcheck disable=SC2064 # the number is meant as it is now
    trap "kill $news 2>/dev/null || true" EXIT
    cargo "$@" || status=$?
    kill "$news" 2>/dev/null || true
    wait "$news" 2>/dev/null || true
    trap - EXIT
    return "$status"
}

# Until RocksDB's library is there: one line a minute.
tell_news() {
    local minutes=0 objects nap=
    # The nap must end with us, or it would hold our output open.
    trap '[ -z "$nap" ] || kill "$nap" 2>/dev/null; exit 0' TERM
    while true; do
        sleep 60 &
        nap=$!
        wait "$nap"
        if exists "$1/build/librocksdb-sys-*/out/librocksdb.a"; then
            return
        fi
        minutes=$((minutes + 1))
        objects=$(find "$1/build" -path '*/librocksdb-sys-*/out/*.o' 2>/dev/null | wc -l)
        say "  ... $minutes min: $objects of about 340 files of RocksDB are compiled"
    done
}
