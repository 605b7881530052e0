package proc

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Memfd makes an anonymous file that lives in memory, holds data, and can no longer be changed. It is passed in
// Cmd.Files and opened by the child as /proc/self/fd/N; owner is Cmd.As (nil: this user). The caller closes it.
func Memfd(name string, data []byte, owner *Credential) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, fmt.Errorf("create memory file %s: %w", name, err)
	}
	f := os.NewFile(uintptr(fd), "memfd:"+name)
	if err := fillMemfd(f, data, owner); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("create memory file %s: %w", name, err)
	}
	return f, nil
}

func fillMemfd(f *os.File, data []byte, owner *Credential) error {
	if _, err := f.Write(data); err != nil {
		return err
	}
	if _, err := f.Seek(0, 0); err != nil {
		return err
	}
	// libpq ignores a password file that others can read.
	if err := f.Chmod(0o600); err != nil {
		return err
	}
	// Opening /proc/self/fd/N is checked against the owner like any other file.
	if owner != nil && os.Geteuid() == 0 {
		if err := f.Chown(int(owner.UID), int(owner.GID)); err != nil {
			return err
		}
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	_, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals)
	return err
}
