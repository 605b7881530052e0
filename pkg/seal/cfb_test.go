package seal

import (
	"bytes"
	"crypto/aes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// In whatever pieces a stream comes, in place or not, it is what the library makes byte by byte.
func TestCFBIsThatOfOpenPGP(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	for size := range 3 {
		key := make([]byte, 16+8*size)
		for round := range 200 {
			text := make([]byte, 18+random.IntN(3*cfbChunk))
			for _, b := range [][]byte{key, text} {
				for i := range b {
					b[i] = byte(random.Uint32())
				}
			}
			copy(text[16:18], text[14:16]) // the prefix repeats its last two bytes
			block, err := aes.NewCipher(key)
			if err != nil {
				t.Fatal(err)
			}
			stream, want := packet.NewOCFBEncrypter(block, text[:16], packet.OCFBNoResync)
			want = append(want, make([]byte, len(text)-18)...)
			stream.XORKeyStream(want[18:], text[18:])

			got := bytes.Clone(text)
			inPieces(random, got, round%2 == 0, newCFB(block).encrypt)
			if !bytes.Equal(got, want) {
				t.Fatalf("AES-%d, %d bytes: encrypted differently", 8*len(key), len(text))
			}
			inPieces(random, got, round%2 == 0, newCFB(block).decrypt)
			if !bytes.Equal(got, text) {
				t.Fatalf("AES-%d, %d bytes: decrypted differently", 8*len(key), len(text))
			}
		}
	}
}

// inPieces changes data by f, a random piece at a time.
func inPieces(random *rand.Rand, data []byte, inPlace bool, f func(dst, src []byte)) {
	for len(data) > 0 {
		n := min(len(data), 1+random.IntN(1<<random.IntN(13)))
		src := data[:n]
		if !inPlace {
			src = bytes.Clone(src)
		}
		f(data[:n], src)
		data = data[n:]
	}
}

// What is sealed with a cipher that we never take is refused by name, not decrypted wrongly.
func TestOtherCipher(t *testing.T) {
	if _, err := newCipher(packet.CipherCAST5, make([]byte, 16)); !errors.Is(err, errCipher) {
		t.Errorf("CAST5: %v", err)
	}
}
