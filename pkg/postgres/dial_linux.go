package postgres

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

// dialAs connects to a Unix socket as another OS user: the kernel hands the
// server the effective uid of the thread that called connect(2)
// (unix(7), SO_PEERCRED). The thread gets that uid alone, by the raw system
// call (the library's would change every thread), and is thrown away after.
func dialAs(as proc.Credential) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if network != "unix" {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}
		type result struct {
			conn net.Conn
			err  error
		}
		done := make(chan result, 1)
		go func() {
			runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
			conn, err := connectUnix(as, address)
			done <- result{conn, err}
		}()
		select {
		case r := <-done:
			return r.conn, r.err
		case <-ctx.Done():
			go func() { // connect(2) on a socket with a full backlog may still come back
				if r := <-done; r.conn != nil {
					_ = r.conn.Close()
				}
			}()
			return nil, context.Cause(ctx)
		}
	}
}

func connectUnix(as proc.Credential, address string) (net.Conn, error) {
	const unchanged = ^uintptr(0)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, unchanged, uintptr(as.GID), unchanged); errno != 0 {
		return nil, fmt.Errorf("become group of %s: %w", as.User, errno)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, unchanged, uintptr(as.UID), unchanged); errno != 0 {
		return nil, fmt.Errorf("become %s: %w", as.User, errno)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	file := os.NewFile(uintptr(fd), address)
	defer file.Close()
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: address}); err != nil {
		return nil, &net.OpError{Op: "dial", Net: "unix", Addr: &net.UnixAddr{Name: address, Net: "unix"}, Err: os.NewSyscallError("connect", err)}
	}
	return net.FileConn(file)
}
