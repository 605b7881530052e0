package seal

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"
)

// The table at the end of each stream is that of zstd's seekable format: a skippable frame, which `zstd -d` passes over,
// with the compressed and the raw size of every frame. Without it a plain stream that was cut between two frames
// would look whole.
const (
	tableMagic   = 0x184D2A5E
	tableID      = 0xE        // the last digit of it
	seekMagic    = 0x8F92EAB1 // ends the table
	tableHeader  = 8
	tableEntry   = 8
	tableFooter  = 9
	tableNoFlags = 0
)

// seekTable collects the table of a stream that is being written.
type seekTable struct{ entries []byte }

func (t *seekTable) add(packed, raw int) { t.entries = appendEntry(t.entries, packed, raw) }

func (t *seekTable) appendTo(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, tableMagic)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(t.entries)+tableFooter))
	dst = append(dst, t.entries...)
	return appendFooter(dst, len(t.entries)/tableEntry)
}

func appendEntry(dst []byte, packed, raw int) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(packed))
	return binary.LittleEndian.AppendUint32(dst, uint32(raw))
}

func appendFooter(dst []byte, frames int) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(frames))
	dst = append(dst, tableNoFlags)
	return binary.LittleEndian.AppendUint32(dst, seekMagic)
}

// tableCheck compares the table of a stream that is being read with the frames that came, in constant memory.
type tableCheck struct {
	frames int
	seen   hash.Hash
	entry  [tableEntry]byte
}

func newTableCheck() *tableCheck { return &tableCheck{seen: sha256.New()} }

func (t *tableCheck) add(packed, raw int) {
	t.frames++
	t.seen.Write(appendEntry(t.entry[:0], packed, raw))
}

var errTable = errors.New("the table at the end does not fit the frames")

func (t *tableCheck) read(r *bufio.Reader, h zstd.Header) error {
	entries := int64(t.frames) * tableEntry
	if h.SkippableID != tableID || int64(h.SkippableSize) != entries+tableFooter {
		return errTable
	}
	if _, err := r.Discard(tableHeader); err != nil {
		return untilEnd(err)
	}
	listed := sha256.New()
	if _, err := io.CopyN(listed, r, entries); err != nil {
		return untilEnd(err)
	}
	var footer [tableFooter]byte
	if _, err := io.ReadFull(r, footer[:]); err != nil {
		return untilEnd(err)
	}
	if !bytes.Equal(footer[:], appendFooter(nil, t.frames)) || !bytes.Equal(listed.Sum(nil), t.seen.Sum(nil)) {
		return errTable
	}
	return nil
}

// expectEnd reads on where nothing may be.
func expectEnd(r io.Reader, where string) error {
	var b [1]byte
	switch n, err := io.ReadFull(r, b[:]); {
	case n > 0:
		return fmt.Errorf("trailing data after the %s", where)
	case err != io.EOF:
		return untilEnd(err)
	}
	return nil
}
