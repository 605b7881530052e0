package seal

import (
	"bufio"
	"io"
)

// sink encrypts, when there is somebody to encrypt to, and writes.
type sink struct {
	message io.WriteCloser // nil: plain
	out     *bufio.Writer  // packet headers are written byte by byte
}

func newSink(w io.Writer, o Options) (*sink, *SessionKey, error) {
	s := &sink{out: bufio.NewWriterSize(w, 2*pieceSize)}
	if len(o.Recipients) == 0 {
		return s, nil, nil
	}
	public, err := encryptionKeys(o.Recipients, o.now())
	if err != nil {
		return nil, nil, err
	}
	key, err := generateSessionKey()
	if err != nil {
		return nil, nil, err
	}
	if s.message, err = newMessage(s.out, public, key); err != nil {
		key.Wipe()
		return nil, nil, err
	}
	return s, key, nil
}

func (s *sink) write(p []byte) error {
	if s.message == nil {
		_, err := s.out.Write(p)
		return err
	}
	_, err := s.message.Write(p)
	return err
}

func (s *sink) finish(end []byte) error {
	if err := s.write(end); err != nil {
		return err
	}
	if s.message != nil {
		if err := s.message.Close(); err != nil {
			return err
		}
	}
	return s.out.Flush()
}
