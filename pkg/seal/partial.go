package seal

import (
	"encoding/binary"
	"io"
)

const (
	pieceBits = 16
	// pieceSize is how much of a packet goes through the cipher and out at once.
	pieceSize = 1 << pieceBits
)

// partialWriter writes one packet whose length is known only at its end: pieces of pieceSize, and what is left
// (RFC 9580, 4.2.1.4).
type partialWriter struct {
	w     io.Writer
	piece []byte // the octet that says its length, and what is in it
}

func newPartialWriter(w io.Writer, tag byte) (*partialWriter, error) {
	p := &partialWriter{w: w, piece: make([]byte, 1, 1+pieceSize)}
	p.piece[0] = 0xe0 | pieceBits
	_, err := w.Write([]byte{0xc0 | tag})
	return p, err
}

// Write implements io.Writer.
func (p *partialWriter) Write(b []byte) (int, error) {
	n := 0
	for n < len(b) {
		m := min(len(b)-n, cap(p.piece)-len(p.piece))
		p.piece = append(p.piece, b[n:n+m]...)
		n += m
		if len(p.piece) == cap(p.piece) {
			if _, err := p.w.Write(p.piece); err != nil {
				return n, err
			}
			p.piece = p.piece[:1]
		}
	}
	return n, nil
}

// Close writes the last piece, which may be empty; it does not close what is below.
func (p *partialWriter) Close() error {
	rest := p.piece[1:]
	var length []byte
	switch n := len(rest); {
	case n < 192:
		length = []byte{byte(n)}
	case n < 192+(32<<8):
		length = binary.BigEndian.AppendUint16(nil, uint16(n-192+(192<<8)))
	default:
		length = binary.BigEndian.AppendUint32([]byte{0xff}, uint32(n))
	}
	if _, err := p.w.Write(length); err != nil {
		return err
	}
	_, err := p.w.Write(rest)
	return err
}
