// Package lock lets one run at a time do something, and says who that is.
//
// The lock is the kernel's (flock) on an open file. It ends with the process, however that ends: there are no
// stale locks, and that the file exists means nothing. The file is never deleted. What stands in it only says
// who holds the lock, for the others' messages.
//
// Acquire and AcquireShared do not wait: a lock that is held by somebody else is a *HeldError, which is
// ErrHeld. Two Acquires in one process exclude each other like two processes. The caller calls Release.
//
// A lock file that root makes belongs to the owner of its directory, so root and that user exclude each other.
// The directory must exist.
package lock
