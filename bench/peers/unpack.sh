#!/usr/bin/env bash
# Unpacks Debian packages below a directory, without installing them. Usage: unpack.sh DIR PACKAGE...
# What is there already stays; several may call it at once. Prints nothing unless it fails.
set -euo pipefail
root=$(realpath -m "$1")
shift
mkdir -p "$root/.done"
exec 9>"$root/.lock"
flock 9
for package in "$@"; do
  [ -e "$root/.done/$package" ] && continue
  fetch=$(mktemp -d)
  (cd "$fetch" && apt-get -q -o APT::Sandbox::User=root download "$package" >apt.log 2>&1) ||
    { cat "$fetch/apt.log" >&2; rm -r "$fetch"; exit 1; }
  dpkg -x "$fetch"/*.deb "$root"
  rm -r "$fetch"
  touch "$root/.done/$package"
done
