package pgdump

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// Inspect reads a whole custom-format archive from r: its table of contents,
// then every data block up to the end, which must come right after the last
// one. It proves that the archive's structure is complete without PostgreSQL;
// that the rows in it load, only a drill proves.
func Inspect(r io.Reader) (*TOC, error) {
	toc, a, err := readTOC(bufio.NewReaderSize(r, 256<<10))
	if err != nil {
		return nil, err
	}
	err = a.eachBlock(toc, func(kind byte, e Entry) error {
		err := fmt.Errorf("block type %d", kind)
		switch kind {
		case blockData:
			err = a.skipChunks()
		case blockBlobs:
			err = a.skipBlobs()
		}
		if err != nil {
			return archiveError("data of "+e.Name, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return toc, nil
}

// eachBlock hands each data block to read, up to the end of the archive, which
// must come right after the last one.
func (a *archiveReader) eachBlock(toc *TOC, read func(kind byte, e Entry) error) error {
	pending := map[int]Entry{}
	for _, e := range toc.Entries {
		if e.HasData {
			pending[e.DumpID] = e
		}
	}
	for len(pending) > 0 {
		kind, err := a.r.ReadByte()
		if err != nil {
			return archiveError(fmt.Sprintf("%d data blocks are missing", len(pending)), err)
		}
		id, err := a.int()
		if err != nil {
			return archiveError("data block", err)
		}
		e, ok := pending[id]
		if !ok {
			return archiveError("data block", fmt.Errorf("block %d is not in the table of contents", id))
		}
		delete(pending, id)
		if err := read(kind, e); err != nil {
			return err
		}
	}
	if _, err := a.r.ReadByte(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = errors.New("bytes after the last data block")
		}
		return archiveError("end", err)
	}
	return nil
}

// skipChunks passes over length-prefixed chunks up to the one of length 0.
func (a *archiveReader) skipChunks() error {
	for {
		n, err := a.int()
		if err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
		if n < 0 {
			return fmt.Errorf("chunk of %d bytes", n)
		}
		if _, err := a.r.Discard(n); err != nil {
			return err
		}
	}
}

// skipBlobs passes over large objects, each an OID and its chunks, up to OID 0.
func (a *archiveReader) skipBlobs() error {
	for {
		oid, err := a.int()
		if err != nil {
			return err
		}
		if oid == 0 {
			return nil
		}
		if err := a.skipChunks(); err != nil {
			return err
		}
	}
}
