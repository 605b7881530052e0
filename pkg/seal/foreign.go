package seal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// ErrForeign means that a message is encrypted in a way that OpenMessage does not read; gpg may.
var ErrForeign = errors.New("OpenPGP message of a kind that is not supported")

// OpenMessage decrypts an OpenPGP message that another program made, such as `gpg --encrypt`: binary or armored, compressed
// by any of OpenPGP's algorithms, signed or not (signatures are not looked at: whoever may write to a recipient's key can
// encrypt to it, so the result proves nothing about who wrote it). It asks u for the session key before it returns.
//
// The stream that it returns gives io.EOF only after the integrity code was compared and nothing was found to follow the
// message, so every truncation ends in an error that is ErrCorrupt. Until then what was read is unproven. Messages without an
// integrity code, and those that only a passphrase opens, are ErrForeign.
//
// Close releases the stream, but does not close r.
func OpenMessage(ctx context.Context, r io.Reader, u Unlocker) (io.ReadCloser, error) {
	src := &source{ctx: ctx, r: r}
	m := &foreign{src: src, file: bufio.NewReaderSize(src, 2*pieceSize)}
	if err := m.open(ctx, u); err != nil {
		return nil, fmt.Errorf("open OpenPGP message: %w", err)
	}
	return m, nil
}

// foreign is an opened message of another program.
type foreign struct {
	src       *source
	file      *bufio.Reader // what we were given
	armored   bool
	outer     *bufio.Reader   // the binary message
	decrypted io.ReadCloser   // what the encrypted packet holds; Close checks the integrity code
	levels    []*bufio.Reader // that, and what is inside compressed packets
	body      io.Reader       // of the literal packet
	err       error           // sticky
}

func (m *foreign) open(ctx context.Context, u Unlocker) error {
	if err := m.dearmor(); err != nil {
		return m.src.judge(err)
	}
	pkesk, err := foreignHead(m.outer)
	if errors.Is(err, ErrForeign) {
		return err
	}
	if err != nil {
		return m.src.judge(err)
	}
	if u == nil {
		return &NoSecretKeyError{KeyIDs: keyIDs(pkesk)}
	}
	key, err := u.Unlock(ctx, pkesk)
	if err != nil {
		return err
	}
	err = m.decrypt(key)
	if err == nil {
		err = m.descend()
	}
	if errors.Is(err, ErrWiped) || errors.Is(err, ErrForeign) {
		return err
	}
	if err != nil {
		return m.src.judge(err)
	}
	return nil
}

const (
	armorStart = "-----BEGIN PGP MESSAGE-----"
	armorEnd   = "-----END PGP MESSAGE-----"
)

// dearmor sets outer.
func (m *foreign) dearmor() error {
	m.outer = m.file
	head, err := m.file.Peek(len(armorStart))
	if err != nil && err != io.EOF {
		return err
	}
	if len(head) == 0 {
		return errTruncated
	}
	if head[0]&0x80 != 0 { // the first byte of every packet
		return nil
	}
	if !bytes.Equal(head, []byte(armorStart)) {
		return errors.New("not an OpenPGP message")
	}
	block, err := armor.Decode(m.file)
	if err != nil {
		return untilEnd(err)
	}
	m.armored, m.outer = true, bufio.NewReaderSize(block.Body, 2*pieceSize)
	return nil
}

// Tags that readHead has no need of.
const (
	tagSignature   = 2
	tagPassphrase  = 3
	tagOnePass     = 4
	tagCompressed  = 8
	tagUnprotected = 9
	tagMarker      = 10
	tagAEAD        = 20 // of GnuPG 2.3 and its relatives
)

// foreignHead is readHead for other programs: a passphrase beside the recipients' keys is passed over.
func foreignHead(r *bufio.Reader) ([]byte, error) {
	var head []byte
	for passed := 0; passed < maxHead; {
		first, err := r.Peek(1)
		if err != nil {
			return nil, untilEnd(err)
		}
		tag, ok := packetTag(first[0])
		switch {
		case !ok:
			return nil, errors.New("not an OpenPGP message")
		case (tag == tagEncrypted || tag == tagAEAD) && len(head) > 0:
			return head, nil
		case tag == tagEncrypted || tag == tagAEAD:
			return nil, fmt.Errorf("%w: only a passphrase opens it", ErrForeign)
		case tag == tagUnprotected:
			return nil, fmt.Errorf("%w: it has no integrity code, any change would go unnoticed", ErrForeign)
		case tag == tagSignature || tag == tagOnePass || tag == tagCompressed || tag == tagLiteral:
			return nil, fmt.Errorf("%w: it is not encrypted", ErrForeign)
		case tag != tagSessionKey && tag != tagPassphrase && tag != tagMarker:
			return nil, fmt.Errorf("unexpected OpenPGP packet %d", tag)
		}
		p, err := takePacket(r, nil)
		if err != nil {
			return nil, err
		}
		passed += len(p)
		if tag == tagSessionKey {
			head = append(head, p...)
		}
	}
	return nil, errors.New("too many recipients")
}

// decrypt sets decrypted.
func (m *foreign) decrypt(key *SessionKey) error {
	p, err := packet.Read(m.outer)
	if err != nil {
		return untilEnd(err)
	}
	err = key.use(func(cipher packet.CipherFunction, raw []byte) error {
		switch data := p.(type) {
		case *packet.SymmetricallyEncrypted:
			if !data.IntegrityProtected {
				return fmt.Errorf("%w: it has no integrity code", ErrForeign)
			}
			m.decrypted, err = data.Decrypt(cipher, raw)
		case *packet.AEADEncrypted:
			m.decrypted, err = data.Decrypt(cipher, raw)
		default:
			err = errors.New("no encrypted data")
		}
		return err
	})
	return untilEnd(err)
}

// maxLevels is for compressed packets in each other; programs make one.
const maxLevels = 3

// descend finds the literal packet.
func (m *foreign) descend() error {
	m.levels = []*bufio.Reader{bufio.NewReaderSize(m.decrypted, pieceSize)}
	for {
		r := m.levels[len(m.levels)-1]
		first, err := r.Peek(1)
		if err != nil {
			return untilEnd(err)
		}
		tag, _ := packetTag(first[0])
		switch tag {
		case tagOnePass, tagSignature, tagMarker:
			if _, err := takePacket(r, nil); err != nil {
				return err
			}
			continue
		case tagCompressed, tagLiteral:
		default:
			return errors.New("wrong session key, or not a message with data")
		}
		p, err := packet.Read(r)
		if err != nil {
			return untilEnd(err)
		}
		switch p := p.(type) {
		case *packet.LiteralData:
			m.body = p.Body
			return nil
		case *packet.Compressed:
			if len(m.levels) == maxLevels {
				return errors.New("compressed too often")
			}
			m.levels = append(m.levels, bufio.NewReaderSize(p.Body, pieceSize))
		default:
			return errors.New("not a message with data")
		}
	}
}

// Read implements io.Reader.
func (m *foreign) Read(p []byte) (int, error) {
	if m.err != nil {
		return 0, m.err
	}
	n, err := m.body.Read(p)
	if err == io.EOF {
		err = m.finish()
		if err == nil {
			m.err = io.EOF
			return n, io.EOF
		}
	}
	if err != nil {
		m.err = m.src.judge(untilEnd(err))
	}
	return n, m.err
}

// finish proves that the message is whole and that it is all there is.
func (m *foreign) finish() error {
	for i := len(m.levels) - 1; i >= 0; i-- {
		if err := passSignatures(m.levels[i]); err != nil {
			return err
		}
	}
	if err := m.decrypted.Close(); err != nil {
		return errors.New("integrity code of the message does not fit")
	}
	if err := expectEnd(m.outer, "message"); err != nil {
		return err
	}
	if !m.armored {
		return nil
	}
	// The decoder stops behind the checksum, or behind the last line where there is none.
	rest, err := io.ReadAll(io.LimitReader(m.file, 1<<10))
	if err != nil {
		return err
	}
	if tail := bytes.TrimSpace(rest); len(rest) == 1<<10 || len(tail) > 0 && !bytes.Equal(tail, []byte(armorEnd)) {
		return errors.New("not the end of an armored message, or data after it")
	}
	return nil
}

// passSignatures reads the signatures that may stand behind the data, and then the end.
func passSignatures(r *bufio.Reader) error {
	for {
		first, err := r.Peek(1)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if tag, ok := packetTag(first[0]); !ok || tag != tagSignature {
			return errors.New("more than one message inside")
		}
		if _, err := takePacket(r, nil); err != nil {
			return err
		}
	}
}

// Close implements io.Closer. Closing before the end is no error; Read returns fs.ErrClosed from then on.
func (m *foreign) Close() error {
	m.err = fmt.Errorf("open OpenPGP message: %w", fs.ErrClosed)
	return nil
}
