package seal

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// OpenPGP packet tags.
const (
	tagSessionKey = 1
	tagLiteral    = 11
	tagEncrypted  = 18
)

// Bounds of what stands before the encrypted data: 2 KiB is a large packet, so this is room for hundreds of recipients.
const (
	maxPKESK = 16 << 10
	maxHead  = 512 << 10
)

// readHead takes the session-key packets from the head of a message and leaves the encrypted data. A message that a
// passphrase opens, or that has anything else there, is none of ours.
func readHead(r *bufio.Reader) ([]byte, error) {
	var head []byte
	for {
		first, err := r.Peek(1)
		if err != nil {
			return nil, untilEnd(err)
		}
		tag, ok := packetTag(first[0])
		switch {
		case !ok:
			return nil, errors.New("not an OpenPGP message")
		case tag == tagEncrypted && len(head) > 0:
			return head, nil
		case tag == tagEncrypted:
			return nil, errors.New("a message without recipients")
		case tag != tagSessionKey:
			return nil, fmt.Errorf("unexpected OpenPGP packet %d", tag)
		}
		if head, err = takePacket(r, head); err != nil {
			return nil, err
		}
		if len(head) > maxHead {
			return nil, errors.New("too many recipients")
		}
	}
}

func packetTag(b byte) (tag int, ok bool) {
	switch {
	case b&0x80 == 0:
		return 0, false
	case b&0x40 != 0: // new format
		return int(b & 0x3f), true
	}
	return int(b >> 2 & 0x0f), true
}

// takePacket moves one packet of definite length, header included, from r to dst.
func takePacket(r *bufio.Reader, dst []byte) ([]byte, error) {
	start := len(dst)
	dst, err := take(r, dst, 2)
	if err != nil {
		return dst, err
	}
	need, err := lengthBytes(dst[start], dst[start+1])
	if err != nil {
		return dst, err
	}
	if dst, err = take(r, dst, need); err != nil {
		return dst, err
	}
	size := bodyLength(dst[start:])
	if size > maxPKESK {
		return dst, fmt.Errorf("session key packet of %d bytes", size)
	}
	return take(r, dst, size)
}

// lengthBytes is how many bytes of the length follow the first two bytes of a packet.
func lengthBytes(tag, first byte) (int, error) {
	if tag&0x40 == 0 {
		if tag&3 == 3 {
			return 0, errors.New("session key packet without a length")
		}
		return 1<<(tag&3) - 1, nil
	}
	switch {
	case first < 192:
		return 0, nil
	case first < 224:
		return 1, nil
	case first < 255:
		return 0, errors.New("session key packet in parts")
	}
	return 4, nil
}

// bodyLength reads the length from a whole header.
func bodyLength(header []byte) int {
	if header[0]&0x40 == 0 {
		n := 0
		for _, b := range header[1:] {
			n = n<<8 | int(b)
		}
		return n
	}
	switch first := int(header[1]); {
	case first < 192:
		return first
	case first < 224:
		return (first-192)<<8 + int(header[2]) + 192
	}
	return int(binary.BigEndian.Uint32(header[2:]))
}

// keyIDs lists to whom the session key is encrypted, in the way gpg writes it.
func keyIDs(pkesk []byte) []string {
	var ids []string
	r := bufio.NewReader(bytes.NewReader(pkesk))
	for {
		p, err := takePacket(r, nil)
		if err != nil {
			return ids
		}
		body := p[len(p)-bodyLength(p[:headerLength(p)]):]
		if len(body) >= 9 && body[0] == 3 {
			ids = append(ids, strings.ToUpper(hex.EncodeToString(body[1:9])))
		}
	}
}

func headerLength(p []byte) int {
	n, _ := lengthBytes(p[0], p[1]) // was valid when the packet was taken
	return 2 + n
}

// sessionKeyPackets parses them for decryption; versions and algorithms that are unknown are left out.
func sessionKeyPackets(pkesk []byte) ([]*packet.EncryptedKey, error) {
	var all []*packet.EncryptedKey
	packets := packet.NewReader(bytes.NewReader(pkesk))
	for {
		p, err := packets.Next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: session key packet: %w", ErrCorrupt, err)
		}
		if k, ok := p.(*packet.EncryptedKey); ok {
			all = append(all, k)
		}
	}
}
