package seal

import (
	"errors"
	"io"
)

// Writer compresses and encrypts what is written to it.
type Writer struct{}

// NewWriter starts a stream on w. Recipients are checked before anything is written to w.
func NewWriter(w io.Writer, o Options) (*Writer, error) { return nil, errors.ErrUnsupported }

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) { return 0, errors.ErrUnsupported }

// Close writes the end of the stream and waits for everything.
func (w *Writer) Close() error { return errors.ErrUnsupported }

// Abort ends the Writer without an end of the stream; after Close it does nothing.
func (w *Writer) Abort() {}

// RawBytes is how many bytes were written; valid after Close.
func (w *Writer) RawBytes() int64 { return 0 }

// RawSHA256 is the sum of what was written, in hexadecimal; empty before a successful Close.
func (w *Writer) RawSHA256() string { return "" }

// SessionKey opens what this Writer wrote; nil when it does not encrypt.
func (w *Writer) SessionKey() *SessionKey { return nil }
