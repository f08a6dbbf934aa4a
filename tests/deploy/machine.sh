#!/bin/sh
# Runs a command as the first process of a copy of this machine. Its processes are its own, what it writes is gone with it, and its
# network is this machine's. Called by `unshare --mount --pid --cgroup …`; FOLDER is empty.
#
# usage: machine.sh FOLDER SHARED COMMAND…
# SHARED is the folder that both machines see.
set -e
folder=$1 shared=$2
shift 2
root=$folder/root
mount -t tmpfs tmpfs "$folder"
mkdir "$root" "$folder/upper" "$folder/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" "$root"

mount -t proc proc "$root/proc"
# The kernel is this machine's, too: its settings stay as they are.
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/sys"
mkdir -p "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
mkdir "$root/sys/fs/cgroup/systemd"
mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in full null random tty urandom zero; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s /proc/self/fd "$root/dev/fd"
ln -s pts/ptmx "$root/dev/ptmx"
mkdir "$root/dev/hugepages" "$root/dev/mqueue" "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mkdir "$root/shared"
mount --bind "$shared" "$root/shared"

# Nothing starts by itself, and the kernel's log and audit stay this machine's.
rm -rf "$root"/lib/systemd/system/*.wants "$root"/etc/systemd/system/*.wants "$root"/etc/cron.d/*
rm "$root/lib/systemd/system/systemd-journald-audit.socket"
mkdir -p "$root/etc/systemd/journald.conf.d"
printf '[Journal]\nAudit=no\nReadKMsg=no\n' >"$root/etc/systemd/journald.conf.d/tests.conf"

mkdir "$root/outside"
cd "$root"
pivot_root . outside
umount -l /outside
mount --make-rshared /
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin container=tests "$@"
