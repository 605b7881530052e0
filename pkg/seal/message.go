package seal

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// encryptionKeys are the subkeys to encrypt to, one for each recipient.
func encryptionKeys(recipients []*Key, now time.Time) ([]*packet.PublicKey, error) {
	var keys []*packet.PublicKey
	known := make(map[string]bool)
	for _, r := range recipients {
		pub, err := r.encryptionKey(now)
		if err != nil {
			return nil, err
		}
		if f := fingerprint(pub); !known[f] {
			known[f] = true
			keys = append(keys, pub)
		}
	}
	return keys, nil
}

func generateSessionKey() (*SessionKey, error) {
	key := make([]byte, packet.CipherAES256.KeySize())
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	return newSessionKey(packet.CipherAES256, key)
}

// newMessage writes the head of an OpenPGP message and returns the inside of its literal packet. Closing that writes the
// integrity code, but does not close w.
//
// The packets are put together here, since the library's own composition takes the cipher from what all recipients
// prefer, which need not fit our session key. AES-256 with an MDC is what every gpg since 2.0 reads.
func newMessage(w io.Writer, to []*packet.PublicKey, key *SessionKey) (io.WriteCloser, error) {
	var body io.WriteCloser
	err := key.use(func(cipher packet.CipherFunction, raw []byte) error {
		var head bytes.Buffer
		for _, pub := range to {
			if err := packet.SerializeEncryptedKeyAEAD(&head, pub, cipher, false, raw, nil); err != nil {
				return fmt.Errorf("encrypt to %s: %w", fingerprint(pub), err)
			}
		}
		key.head = bytes.Clone(head.Bytes())
		if _, err := head.WriteTo(w); err != nil {
			return err
		}
		stream, err := newCipher(cipher, raw)
		if err != nil {
			return err
		}
		body, err = newLiteral(w, stream)
		return err
	})
	return body, err
}

// literal is the inside of a message that is being written.
type literal struct {
	*partialWriter
	encrypted *mdcWriter
}

// newLiteral begins the encrypted packet and the literal one in it. The latter says that it is binary; its file name is
// empty and its time zero: nothing in the message tells where it came from.
func newLiteral(w io.Writer, stream *cfb) (*literal, error) {
	encrypted, err := newMDCWriter(w, stream)
	if err != nil {
		return nil, err
	}
	inner, err := newPartialWriter(encrypted, tagLiteral)
	if err != nil {
		return nil, err
	}
	_, err = inner.Write([]byte{'b', 0, 0, 0, 0, 0})
	return &literal{inner, encrypted}, err
}

// Close ends both packets.
func (l *literal) Close() error {
	if err := l.partialWriter.Close(); err != nil {
		return err
	}
	return l.encrypted.Close()
}

// message is an opened OpenPGP message.
type message struct {
	outer     *bufio.Reader // the message
	decrypted *mdcReader    // what the encrypted packet holds
	inner     *bufio.Reader // the same, buffered
	body      io.Reader     // what the literal packet in it holds
}

// openMessage starts decryption. The next packet in r is the encrypted data.
func openMessage(r *bufio.Reader, key *SessionKey) (*message, error) {
	p, err := packet.Read(r)
	if err != nil {
		return nil, untilEnd(err)
	}
	data, ok := p.(*packet.SymmetricallyEncrypted)
	if !ok || !data.IntegrityProtected || data.Version != 1 {
		return nil, errors.New("not a message with an MDC")
	}
	m := &message{outer: r}
	err = key.use(func(cipher packet.CipherFunction, raw []byte) error {
		stream, err := newCipher(cipher, raw)
		if err != nil {
			return err
		}
		m.decrypted, err = newMDCReader(data.Contents, stream)
		return err
	})
	if err != nil {
		return nil, untilEnd(err)
	}
	m.inner = bufio.NewReaderSize(m.decrypted, pieceSize)
	first, err := m.inner.Peek(1)
	if err != nil {
		return nil, untilEnd(err)
	}
	if tag, _ := packetTag(first[0]); tag != tagLiteral {
		return nil, errors.New("wrong session key, or not a literal message")
	}
	if p, err = packet.Read(m.inner); err != nil {
		return nil, untilEnd(err)
	}
	literal, ok := p.(*packet.LiteralData)
	if !ok {
		return nil, errors.New("not a literal message")
	}
	m.body = literal.Body
	return m, nil
}

// finish proves that the message ends here and is whole; its body has been read to the end.
func (m *message) finish() error {
	if err := expectEnd(m.inner, "literal packet"); err != nil {
		return err
	}
	if err := m.decrypted.finish(); err != nil {
		return err
	}
	return expectEnd(m.outer, "message")
}
