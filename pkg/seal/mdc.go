package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // what the format has; sets are proven by SHA-256 beside it
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// The encrypted packet with an integrity code (RFC 9580, 5.13.1): version, a block of random bytes of which the last two
// are repeated, what is encrypted, and a packet with the SHA-1 of all that, prefix included.
const (
	mdcVersion = 1
	mdcSize    = 2 + sha1.Size
)

// mdcHead are the header and length of the packet with the code; the sum covers them.
var mdcHead = [2]byte{0xc0 | 19, sha1.Size}

var (
	errMDC    = errors.New("integrity code of the message does not fit")
	errCipher = errors.New("not a cipher that sets are sealed with")
)

// newCipher begins the stream for a session key.
func newCipher(function packet.CipherFunction, key []byte) (*cfb, error) {
	switch function {
	case packet.CipherAES128, packet.CipherAES192, packet.CipherAES256:
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		return newCFB(block), nil
	default:
		return nil, fmt.Errorf("cipher %d: %w", function, errCipher)
	}
}

// mdcWriter encrypts what is written to it into one packet.
type mdcWriter struct {
	packet *partialWriter
	cipher *cfb
	sum    hash.Hash
	buf    []byte
}

func newMDCWriter(w io.Writer, cipher *cfb) (*mdcWriter, error) {
	encrypted, err := newPartialWriter(w, tagEncrypted)
	if err != nil {
		return nil, err
	}
	m := &mdcWriter{packet: encrypted, cipher: cipher, sum: sha1.New(), buf: make([]byte, pieceSize)} //nolint:gosec // as above
	prefix := make([]byte, cipher.size, cipher.size+2)
	if _, err := rand.Read(prefix); err != nil {
		return nil, err
	}
	if _, err := m.packet.Write([]byte{mdcVersion}); err != nil {
		return nil, err
	}
	_, err = m.Write(append(prefix, prefix[cipher.size-2:]...))
	return m, err
}

// Write implements io.Writer.
func (m *mdcWriter) Write(p []byte) (int, error) {
	m.sum.Write(p)
	n := 0
	for n < len(p) {
		piece := m.buf[:min(len(p)-n, len(m.buf))]
		m.cipher.encrypt(piece, p[n:n+len(piece)])
		if _, err := m.packet.Write(piece); err != nil {
			return n, err
		}
		n += len(piece)
	}
	return n, nil
}

// Close writes the code and ends the packet; it does not close what is below.
func (m *mdcWriter) Close() error {
	m.sum.Write(mdcHead[:])
	code := m.sum.Sum(mdcHead[:])
	m.cipher.encrypt(code, code)
	if _, err := m.packet.Write(code); err != nil {
		return err
	}
	return m.packet.Close()
}

// mdcReader decrypts what is in an encrypted packet. Nothing that it hands out is proven before finish.
type mdcReader struct {
	src    io.Reader // the contents of the packet, behind its version
	cipher *cfb
	sum    hash.Hash
	buf    []byte // buf[:have] is decrypted; of it the last mdcSize bytes may be the code
	have   int
	given  int   // of buf, handed out
	end    error // of src: io.EOF or why it broke
}

func newMDCReader(src io.Reader, cipher *cfb) (*mdcReader, error) {
	m := &mdcReader{src: src, cipher: cipher, sum: sha1.New(), buf: make([]byte, pieceSize)} //nolint:gosec // as above
	prefix := make([]byte, cipher.size+2)
	if _, err := io.ReadFull(src, prefix); err != nil {
		return nil, err
	}
	cipher.decrypt(prefix, prefix)
	m.sum.Write(prefix)
	return m, nil
}

// Read implements io.Reader.
func (m *mdcReader) Read(p []byte) (int, error) {
	if m.have-m.given <= mdcSize {
		if err := m.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, m.buf[m.given:m.have-mdcSize])
	m.sum.Write(p[:n])
	m.given += n
	return n, nil
}

// fill decrypts more, until there is something besides what may be the code, or says why not. A packet that ends too
// early for a code is io.ErrUnexpectedEOF.
func (m *mdcReader) fill() error {
	m.have = copy(m.buf, m.buf[m.given:m.have])
	m.given = 0
	encrypted := m.have
	for m.end == nil && m.have < len(m.buf) {
		var n int
		n, m.end = m.src.Read(m.buf[m.have:])
		m.have += n
	}
	m.cipher.decrypt(m.buf[encrypted:m.have], m.buf[encrypted:m.have])
	switch {
	case m.have > mdcSize:
		return nil
	case m.have < mdcSize && m.end == io.EOF:
		return io.ErrUnexpectedEOF
	default:
		return m.end
	}
}

// finish proves what was read; Read has said io.EOF.
func (m *mdcReader) finish() error {
	code := m.buf[m.given:m.have]
	m.sum.Write(mdcHead[:])
	if len(code) != mdcSize || !bytes.HasPrefix(code, mdcHead[:]) ||
		subtle.ConstantTimeCompare(code[len(mdcHead):], m.sum.Sum(nil)) != 1 {
		return errMDC
	}
	return nil
}
