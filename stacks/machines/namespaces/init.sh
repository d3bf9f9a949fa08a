#!/bin/sh
# init.sh MACHINE_DIR IMAGE NAME MEMORY_KIB
# Runs in fresh mount, UTS, IPC, PID and control group namespaces, in the machine's network: mounts what a machine expects,
# makes its disk the root and becomes its process 1. Every mount is private, so all of them vanish with the machine.
set -eu
dir=$1 image=$2 name=$3 memory=$4 root=$1/root
mount --make-rprivate /
hostname "$name"
mount -t overlay overlay -o "lowerdir=$image,upperdir=$dir/upper,workdir=$dir/work" "$root"
# Containers have overlays of their own, and a kernel takes none as the upper part of another.
for name in containerd kubelet etcd; do
    mkdir -p "$dir/volumes/$name" "$root/var/lib/$name"
    chmod --reference="$root/var/lib/$name" "$dir/volumes/$name"
    mount --bind "$dir/volumes/$name" "$root/var/lib/$name"
done
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs -o mode=755,nosuid dev "$root/dev"
mkdir -p "$root/dev/pts" "$root/dev/shm" "$root/dev/net" "$root/dev/mqueue"
# Own device nodes: with the host's bound here, systemd would change the modes of the host's own.
for node in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0 kmsg:1:11 net/tun:10:200; do
    path=${node%%:*} numbers=${node#*:}
    mknod -m 666 "$root/dev/$path" c "${numbers%:*}" "${numbers#*:}"
done
mknod -m 600 "$root/dev/console" c 1 3
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s fd/0 "$root/dev/stdin"
ln -s fd/1 "$root/dev/stdout"
ln -s fd/2 "$root/dev/stderr"
mount -t tmpfs -o mode=1777,nosuid,nodev shm "$root/dev/shm"
mount -t tmpfs -o mode=755,nosuid,nodev run "$root/run"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
groups=$root/sys/fs/cgroup legacy=
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mount -t cgroup2 cgroup2 "$groups"
else
    legacy=SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1
    mount -t tmpfs -o mode=755 cgroup "$groups"
    for path in /sys/fs/cgroup/*/; do
        controller=$(basename "$path")
        [ -L "${path%/}" ] && continue
        mkdir -p "$groups/$controller"
        case $controller in
            systemd) mount -t cgroup -o none,name=systemd cgroup "$groups/systemd" ;;
            unified) mount -t cgroup2 cgroup2 "$groups/unified" 2>/dev/null || true ;;
            *) mount -t cgroup -o "$controller" cgroup "$groups/$controller" 2>/dev/null || true ;;
        esac
    done
fi
# Programs read the size of the memory here, not from the control group.
mkdir -p "$root/run/machine"
awk -v limit="$memory" '
    /^MemTotal:/ { printf "%-15s %d kB\n", $1, limit; next }
    /^(MemFree|MemAvailable):/ { printf "%-15s %d kB\n", $1, ($2 < limit * 0.8) ? $2 : limit * 0.8; next }
    { print }' /proc/meminfo > "$root/run/machine/meminfo"
mount --bind "$root/run/machine/meminfo" "$root/proc/meminfo"
# A kubelet sets these, and they are the whole host's: it gets a picture of its own.
for setting in vm/overcommit_memory:1 kernel/panic:10 kernel/panic_on_oops:1; do
    path=${setting%:*} picture=$root/run/machine/$(basename "${setting%:*}")
    echo "${setting#*:}" > "$picture"
    mount --bind "$picture" "$root/proc/sys/$path"
done
mount -t tmpfs -o ro,mode=000 none "$root/sys/firmware" 2>/dev/null || true
mkdir -p "$root/.old"
cd "$root"
pivot_root . .old
umount -l /.old
rmdir /.old 2>/dev/null || true
mount --make-rshared /
exec env -i container=meshwright TERM=linux PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /sbin/init $legacy < /dev/null > /dev/null 2>&1
