"""Whether KVM runs a guest here: some hosts have a /dev/kvm that opens, and guests that then hang."""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

KVM = "/dev/kvm"
# A guest reaches init in well under 2 s with KVM; one that hangs never does.
INIT_SECONDS = 8.0


def boot_id():
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def boot_with_kvm(image, seconds=INIT_SECONDS):
    """(usable, reason): boots the lab's guest and waits for its init to speak on the serial console."""
    command = ["qemu-system-x86_64", "-accel", "kvm", "-m", "256", "-nodefaults", "-nographic", "-serial", "stdio",
               "-no-reboot", "-kernel", f"{image}/vmlinuz", "-initrd", f"{image}/initramfs.gz",
               "-append", "console=ttyS0 quiet aerolab.script=poweroff"]
    with tempfile.TemporaryFile() as errors:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors) as process:
            os.set_blocking(process.stdout.fileno(), False)
            start, seen = time.monotonic(), b""
            try:
                while time.monotonic() - start < seconds and process.poll() is None and b"aerolab: init" not in seen:
                    time.sleep(0.05)
                    seen += process.stdout.read() or b""
                seen += process.stdout.read() or b""
            finally:
                process.kill()
        if b"aerolab: init" in seen:
            return True, f"a guest reached its init with KVM in {time.monotonic() - start:.1f} s"
        if process.returncode not in (None, -9):
            errors.seek(0)
            text = errors.read().decode(errors="replace").strip().splitlines()
            return False, "QEMU refuses KVM: " + (text[-1] if text else f"exit {process.returncode}")
    return False, f"{KVM} opens, but a guest did not reach its init within {seconds:.0f} s"


def check(image):
    """(usable, reason), remembered in the image's folder until the machine boots again."""
    if not os.path.exists(KVM):
        return False, f"there is no {KVM}"
    if not os.access(KVM, os.R_OK | os.W_OK):
        return False, f"no permission to open {KVM}"
    known = Path(image, f"kvm-{os.geteuid()}.json")
    try:
        record = json.loads(known.read_text(encoding="utf-8"))
        if record["boot_id"] == boot_id():
            return bool(record["usable"]), str(record["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    usable, reason = boot_with_kvm(image)
    new = known.with_suffix(f".{os.getpid()}")
    new.write_text(json.dumps({"boot_id": boot_id(), "usable": usable, "reason": reason}), encoding="utf-8")
    new.rename(known)
    return usable, reason
