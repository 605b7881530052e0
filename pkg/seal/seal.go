// Package seal turns a stream into compressed, optionally encrypted bytes and back: zstd, then OpenPGP.
//
// What NewWriter writes opens with stock tools: `gpg --decrypt` for the OpenPGP message, `zstd -d` for what
// is inside. Inside are independent zstd frames of 4 MiB, each with its size and a content checksum,
// and at the end a seek table (zstd's seekable format), which says how many frames there must be. NewReader
// reads only this: it is strict, since it is also the check.
//
// The contract:
//
//   - A Writer ends with Close or with Abort; one of them must be called, else goroutines stay. Only a Close that
//     returned nil has written a whole stream. An error of the underlying writer is kept: every later Write,
//     and Close, return it. The underlying writer is never closed here, and never used after Close or Abort returned.
//   - A ReadCloser of NewReader returns io.EOF only after everything was proven: the integrity code of the message
//     (MDC), the checksum of each frame, the number and sizes of the frames, and that nothing follows. Any
//     truncation, flipped bit or trailing byte ends in an error that is ErrCorrupt (but for bits of a plain stream
//     that mean nothing to zstd, and packets for other recipients: only the sum of the file covers those). But
//     OpenPGP's CFB mode releases plain text before its integrity code has been seen: until io.EOF, treat what was
//     read as something that may have to be thrown away.
//   - Errors of the underlying reader come back as they are, and are never ErrCorrupt.
//   - A session key decrypts one message. Who has written a message can read it back with SessionKey, without
//     any secret key; Wipe it afterwards.
//   - No error, and no formatting of a value of this package, holds a session key or a passphrase.
//
// Memory is bounded whatever the length of the stream: about 16 MiB for each job of a Writer and as much once more (and
// 8 bytes for each frame, 2 MiB for a terabyte), less for a Reader. Hostile input can make a Reader take twice as much.
package seal

import (
	"errors"
	"time"
)

// Level is how hard to compress.
type Level int

// The levels, in the order of effort.
const (
	Default Level = iota
	Fastest
	Better
)

// Options says how to write. The zero value compresses at the default level and does not encrypt.
type Options struct {
	Level      Level
	Recipients []*Key           // none: not encrypted
	Jobs       int              // frames compressed at once; 0: as many as there are cores, at most 4
	Now        func() time.Time // decides which keys are valid; nil: time.Now

	frame int // 0: frameSize; tests take less
}

// Suffix is the end of the name of a file that NewWriter wrote.
func Suffix(sealed bool) string {
	if sealed {
		return ".zst.gpg"
	}
	return ".zst"
}

var (
	// ErrCorrupt means that the stream is not what NewWriter wrote.
	ErrCorrupt = errors.New("corrupt stream")
	// ErrAborted is what a Writer returns after Abort.
	ErrAborted = errors.New("writer aborted")
	// ErrWiped means that a session key was used after Wipe.
	ErrWiped = errors.New("session key was wiped")
	// ErrNoSecretKey means that no secret key here opens the message. The error is a *NoSecretKeyError.
	ErrNoSecretKey = errors.New("no secret key")
	// ErrPassphrase means that a secret key is there, but its passphrase is missing or wrong.
	ErrPassphrase = errors.New("missing or wrong passphrase")

	// ErrNoKey means that no public key was found.
	ErrNoKey = errors.New("no key found")
	// ErrKeyExpired means that a key, or each of its encryption subkeys, is no longer valid.
	ErrKeyExpired = errors.New("key has expired")
	// ErrKeyNotYetValid means that a key was made in the future.
	ErrKeyNotYetValid = errors.New("key is not valid yet")
	// ErrKeyRevoked means that a key, each of its user ids or each of its encryption subkeys was revoked.
	ErrKeyRevoked = errors.New("key was revoked")
	// ErrKeyCannotEncrypt means that a key is for signing only.
	ErrKeyCannotEncrypt = errors.New("key has no encryption subkey")
	// ErrKeyUnusable means that a key cannot be used for another reason, such as a weak algorithm.
	ErrKeyUnusable = errors.New("key is not usable")
)
