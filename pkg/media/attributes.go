package media

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// linkTarget is where a symbolic link leads, whatever its length.
func linkTarget(dir int, base string) (string, error) {
	for size := 256; ; size *= 4 {
		buffer := make([]byte, size)
		n, err := unix.Readlinkat(dir, base, buffer)
		if err != nil {
			return "", err
		}
		if n < size {
			return string(buffer[:n]), nil
		}
	}
}

// xattrNames are the extended attributes of what has a name in a directory; none where the file system has none.
func xattrNames(dir int, base string) ([]string, error) {
	for size := 1024; ; size *= 8 {
		buffer := make([]byte, size)
		n, err := unix.Llistxattr(named(dir, base), buffer)
		switch {
		case errors.Is(err, unix.ERANGE) && size < 1<<20:
			continue
		case errors.Is(err, unix.ENOTSUP):
			return nil, nil
		case err != nil:
			return nil, err
		case n == 0:
			return nil, nil
		}
		return strings.Split(strings.TrimSuffix(string(buffer[:n]), "\x00"), "\x00"), nil
	}
}

// xattrValue is the value of one of them.
func xattrValue(dir int, base, name string) ([]byte, error) {
	for size := 256; ; size *= 8 {
		buffer := make([]byte, size)
		n, err := unix.Lgetxattr(named(dir, base), name, buffer)
		if errors.Is(err, unix.ERANGE) && size < 1<<20 {
			continue
		}
		if err != nil {
			return nil, err
		}
		return buffer[:n], nil
	}
}

// readSome reads from an open file, again when a signal came.
func readSome(fd int, buffer []byte) (int, error) {
	for {
		n, err := unix.Read(fd, buffer)
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
