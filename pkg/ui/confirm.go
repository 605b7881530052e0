package ui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

var (
	// ErrNoTerminal means that nobody is there to answer.
	ErrNoTerminal = errors.New("no terminal to ask on")
	// ErrDeclined means that the answer was not the word asked for.
	ErrDeclined = errors.New("not confirmed")
)

// Confirm shows the question and lets the operator type word; anything else is
// [ErrDeclined]. Without a terminal on both standard input and standard error
// it asks nothing and returns [ErrNoTerminal]. When ctx ends first, its cause
// is returned; the abandoned read then takes at most one more line.
func (s *Streams) Confirm(ctx context.Context, question, word string) error {
	if !s.InTTY || !s.ErrTTY || s.In == nil {
		return ErrNoTerminal
	}
	_, err := fmt.Fprintf(s.Err, "%s\nType %s to go on: ", Printable(question), Printable(word))
	if err != nil {
		return fmt.Errorf("ask for confirmation: %w", err)
	}

	type answer struct {
		line string
		err  error
	}
	read := make(chan answer, 1)
	go func() {
		line, err := readLine(s.In)
		read <- answer{line, err}
	}()
	select {
	case <-ctx.Done():
		_, _ = io.WriteString(s.Err, "\n")
		return context.Cause(ctx)
	case a := <-read:
		if a.err != nil && !errors.Is(a.err, io.EOF) {
			return fmt.Errorf("read confirmation: %w", a.err)
		}
		if strings.TrimSpace(a.line) != word {
			return ErrDeclined
		}
		return nil
	}
}

// readLine reads byte by byte: whatever follows the line belongs to others.
func readLine(r io.Reader) (string, error) {
	const limit = 4096
	var line []byte
	var one [1]byte
	for len(line) < limit {
		n, err := r.Read(one[:])
		if n == 1 {
			if one[0] == '\n' {
				return string(line), nil
			}
			line = append(line, one[0])
		}
		if err != nil {
			return string(line), err
		}
	}
	return "", fmt.Errorf("answer longer than %d bytes", limit)
}
