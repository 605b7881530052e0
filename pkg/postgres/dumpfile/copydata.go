package dumpfile

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

// copyData passes over the rows behind a COPY … FROM stdin, up to the line that ends them.
func (s *scanner) copyData() error {
	since := s.line
	if err := s.pass(len(s.held)); err != nil {
		return err
	}
	for fresh := true; ; {
		chunk, err := s.in.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			if err == io.EOF {
				err = &cutError{"the data of the COPY", since - 1}
			}
			return err
		}
		if bytes.IndexByte(chunk, 0) >= 0 {
			return fmt.Errorf("line %d: %w", s.line, errNUL)
		}
		if s.out != nil {
			if _, err := s.out.Write(chunk); err != nil {
				return err
			}
		}
		last := fresh && (string(chunk) == "\\.\n" || string(chunk) == "\\.\r\n")
		if fresh = err == nil; fresh {
			s.line++
		}
		if last {
			s.lead = true
			return nil
		}
	}
}
