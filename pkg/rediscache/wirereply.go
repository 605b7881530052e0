package rediscache

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// ReplyError is what the server said instead of doing it. It is of one command only; after any other error the connection is
// of no use.
type ReplyError string

func (e ReplyError) Error() string { return string(e) }

var (
	errReply  = errors.New("not an answer that Redis gives")
	errClosed = errors.New("the server closed the connection")
)

// line reads a line without its end: a whole reply, or the head of one. It is valid until the next read.
func (w *Wire) line() ([]byte, error) {
	line, err := w.replies.ReadSlice('\n')
	switch {
	case errors.Is(err, io.EOF):
		return nil, errClosed
	case err != nil:
		return nil, err
	}
	line = bytes.TrimRight(line, "\r\n")
	switch {
	case len(line) == 0:
		return nil, errReply
	case line[0] == '-':
		return nil, ReplyError(line[1:])
	}
	return line, nil
}

// Set reads the reply to a SET, and says whether the key was set: with NX it may have been there.
func (w *Wire) Set() (bool, error) {
	line, err := w.line()
	switch {
	case err != nil:
		return false, err
	case string(line) == "+OK":
		return true, nil
	case isNil(line):
		return false, nil
	}
	return false, unexpected(line)
}

// number reads a whole number; known is false for none.
func (w *Wire) number() (n int64, known bool, err error) {
	line, err := w.line()
	if err != nil || isNil(line) {
		return 0, false, err
	}
	if len(line) < 2 || line[0] != ':' {
		return 0, false, unexpected(line)
	}
	if n, err = strconv.ParseInt(string(line[1:]), 10, 64); err != nil {
		return 0, false, unexpected(line)
	}
	return n, true, nil
}

// cursor reads the beginning of a reply to SCAN, which says where to go on. keys reads the rest.
func (w *Wire) cursor() (uint64, error) {
	switch n, err := w.head('*'); {
	case err != nil:
		return 0, err
	case n != 2:
		return 0, errReply
	}
	if _, err := w.head('$'); err != nil {
		return 0, err
	}
	line, err := w.line()
	if err != nil {
		return 0, err
	}
	next, err := strconv.ParseUint(string(line), 10, 64)
	if err != nil {
		return 0, unexpected(line)
	}
	return next, nil
}

// page is memory for the keys of an answer.
type page struct {
	text []byte
	ends []int
	keys []string
}

// keys reads the keys of a reply to SCAN. They lie together in memory that they keep; the list is valid until the next one.
func (w *Wire) keys(p *page) ([]string, error) {
	count, err := w.head('*')
	if err != nil {
		return nil, err
	}
	p.text, p.ends, p.keys = p.text[:0], p.ends[:0], p.keys[:0]
	for range count {
		n, err := w.head('$')
		if err != nil {
			return nil, err
		}
		if p.text, err = w.bulk(p.text, n); err != nil {
			return nil, err
		}
		p.ends = append(p.ends, len(p.text))
	}
	all, from := string(p.text), 0
	for _, to := range p.ends {
		p.keys = append(p.keys, all[from:to])
		from = to
	}
	return p.keys, nil
}

// bulk appends n bytes, and takes the end of line behind them. Memory grows with what comes, not with what was announced.
func (w *Wire) bulk(dst []byte, n int) ([]byte, error) {
	for n > 0 {
		piece, err := w.replies.Peek(min(n, w.replies.Size()))
		if err != nil {
			return dst, closed(err)
		}
		dst = append(dst, piece...)
		n -= len(piece)
		_, _ = w.replies.Discard(len(piece)) // what was seen is there
	}
	if _, err := w.replies.Discard(2); err != nil {
		return dst, closed(err)
	}
	return dst, nil
}

// head is the number in a line that begins with kind.
func (w *Wire) head(kind byte) (int, error) {
	line, err := w.line()
	if err != nil {
		return 0, err
	}
	if line[0] != kind {
		return 0, unexpected(line)
	}
	n, err := strconv.Atoi(string(line[1:]))
	if err != nil || n < 0 {
		return 0, unexpected(line)
	}
	return n, nil
}

func isNil(line []byte) bool { return string(line) == "$-1" || string(line) == "_" }

func unexpected(line []byte) error { return fmt.Errorf("%w: %.50q", errReply, line) }

func closed(err error) error {
	if errors.Is(err, io.EOF) {
		return errClosed
	}
	return err
}
