package atomicfile

import (
	"fmt"
	"os"
	"syscall"
)

// giveFile gives f the owner of the directory dir of root, when we are root.
func giveFile(root *os.Root, dir string, f *os.File) error {
	uid, gid, err := heir(root, dir)
	if err != nil || uid < 0 {
		return err
	}
	// On the descriptor: the name may have become another's file meanwhile.
	if err := f.Chown(uid, gid); err != nil {
		return fmt.Errorf("give it to the owner of its directory (%d:%d): %w", uid, gid, cause(err))
	}
	return nil
}

// heir is who gets what is created in dir; -1 when it stays ours.
func heir(root *os.Root, dir string) (uid, gid int, err error) {
	if os.Geteuid() != 0 {
		return -1, -1, nil
	}
	fi, err := root.Stat(dir)
	if err != nil {
		return -1, -1, err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || st.Uid == 0 && st.Gid == 0 {
		return -1, -1, nil
	}
	return int(st.Uid), int(st.Gid), nil
}
