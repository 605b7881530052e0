package seal

import (
	"crypto/cipher"
	"crypto/subtle"
)

// cfbChunk is for how much text key stream is made at once: it stays in the first cache of the processor.
const cfbChunk = 4 << 10

// cfb is the cipher feedback mode of OpenPGP without resynchronisation (RFC 9580, 5.13.1), with prefix and text as one
// stream: each block is XORed with what the cipher makes of the block of cipher text before it, the first with what it
// makes of zeros. The library does it byte by byte; here whole blocks go together, since everything that a backup
// writes and a restore reads comes through.
//
// One cfb either encrypts or decrypts.
type cfb struct {
	block cipher.Block
	size  int // of a block
	// stream begins with the key stream of the present block, of which the first used bytes have been exchanged for the
	// cipher text that they made. Behind it is room for the key stream of the blocks that follow.
	stream []byte
	used   int
}

func newCFB(block cipher.Block) *cfb {
	size := block.BlockSize()
	c := &cfb{block: block, size: size, stream: make([]byte, size+cfbChunk)}
	block.Encrypt(c.stream, c.stream[:size])
	return c
}

// encrypt writes the cipher text of src to dst, which may be src.
func (c *cfb) encrypt(dst, src []byte) {
	for len(src) > 0 {
		n := c.next(len(src))
		if n >= c.size {
			// The next block of key stream is E(text XOR key stream of this block), which is what CBC does.
			cipher.NewCBCEncrypter(c.block, c.stream[:c.size]).CryptBlocks(c.stream[c.size:], src[:n])
			c.exchange(dst, src, n)
		} else {
			stream := c.stream[c.used : c.used+n]
			subtle.XORBytes(stream, stream, src[:n])
			copy(dst, stream)
			c.advance(n)
		}
		dst, src = dst[n:], src[n:]
	}
}

// decrypt writes the text of src to dst, which may be src.
func (c *cfb) decrypt(dst, src []byte) {
	for len(src) > 0 {
		n := c.next(len(src))
		if n >= c.size {
			for i := 0; i < n; i += c.size {
				c.block.Encrypt(c.stream[c.size+i:], src[i:i+c.size])
			}
			c.exchange(dst, src, n)
		} else {
			for i, b := range src[:n] {
				dst[i] = b ^ c.stream[c.used+i]
				c.stream[c.used+i] = b
			}
			c.advance(n)
		}
		dst, src = dst[n:], src[n:]
	}
}

// next is how much of n bytes is done at once: whole blocks, or a part of the present one.
func (c *cfb) next(n int) int {
	if c.used == 0 && n >= c.size {
		return min(n-n%c.size, cfbChunk)
	}
	return min(n, c.size-c.used)
}

// exchange is the end of a step of whole blocks: the key stream is there, for the block after them too.
func (c *cfb) exchange(dst, src []byte, n int) {
	subtle.XORBytes(dst[:n], src[:n], c.stream[:n])
	copy(c.stream, c.stream[n:n+c.size])
}

// advance is the end of a step inside of a block, which has left n bytes of cipher text in the stream.
func (c *cfb) advance(n int) {
	if c.used += n; c.used == c.size {
		c.block.Encrypt(c.stream, c.stream[:c.size])
		c.used = 0
	}
}
