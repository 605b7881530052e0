package doctor

import (
	"io/fs"
	"os"
	"os/user"
	"slices"
	"strconv"
	"syscall"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

func lookupName(uid uint32) (string, error) {
	u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil {
		return "", err
	}
	return u.Username, nil
}

// may says whether the mode of a file gives a user the right (4: to read, 1: to
// execute). Access lists and the directories above are not looked at.
func may(path string, who *proc.Credential, right fs.FileMode) (bool, error) {
	info, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	mode := info.Mode().Perm()
	switch {
	case !ok || who.UID == 0:
		return who.UID == 0 && (right != 1 || mode&0o111 != 0), nil
	case st.Uid == who.UID:
		return mode>>6&right != 0, nil
	case st.Gid == who.GID || slices.Contains(who.Groups, st.Gid):
		return mode>>3&right != 0, nil
	}
	return mode&right != 0, nil
}
